# One image for the head, the workers and the submitter of a cluster, and for a laptop.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY microbench_ray microbench_ray
COPY conf conf
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.11-slim
LABEL org.opencontainers.image.title="microbench_ray" org.opencontainers.image.licenses="Apache-2.0"
ENV PYTHONUNBUFFERED=1 RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
COPY requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt
COPY --from=build /wheel/*.whl /tmp/
RUN pip install --no-cache-dir --no-deps /tmp/*.whl && rm /tmp/*.whl /tmp/requirements.txt \
    && useradd --create-home --uid 1000 bench
COPY --chown=bench:bench jobs /home/bench/jobs
USER bench
WORKDIR /home/bench
ENTRYPOINT ["microbench"]
CMD ["sweep"]
