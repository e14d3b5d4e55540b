# One image for a cluster's head, its workers, its autoscaler and whoever submits to it, and for a laptop. Needs no writable file but in /tmp
# and /dev/shm: docker run --read-only --tmpfs /tmp -v RESULTS:/data IMAGE sweep out=/data/first
# KubeRay runs `ray start` in it by bash, as a login shell where it is told to; /usr/local/bin is on the path of both. Its probes ask over
# HTTP, so that no wget is needed. A tag can be moved: pin the digest as well (FROM python:…@sha256:…) in a registry of your own.
FROM python:3.11.15-slim-bookworm AS build
WORKDIR /src
COPY requirements-build.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY microbench_ray microbench_ray
COPY conf conf
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --no-index --wheel-dir /wheel .

FROM python:3.11.15-slim-bookworm
LABEL org.opencontainers.image.title="microbench_ray" org.opencontainers.image.licenses="Apache-2.0"
# What numba compiles, and what matplotlib and the hub's client keep, lies beside the code or at home by default: both may be read-only.
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 \
    NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib HF_HOME=/tmp/huggingface
# With the extra `hub`, for audits whose logs come from there; without `inspect`, whose logs are read where its many packages are.
COPY requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt && rm /tmp/requirements.txt
COPY --from=build /wheel /tmp/wheel
RUN pip install --no-cache-dir --no-deps --no-index /tmp/wheel/*.whl && rm -r /tmp/wheel \
    && useradd --create-home --uid 1000 bench
WORKDIR /home/bench
COPY jobs jobs
USER 1000
ENTRYPOINT ["microbench"]
CMD ["sweep"]
