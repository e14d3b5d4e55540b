# One image for a cluster's head, workers, autoscaler and submitter, and for a laptop. It writes only to /tmp and /dev/shm:
# docker run --read-only --tmpfs /tmp -v RESULTS:/data IMAGE sweep out=/data/first
# KubeRay runs `ray start` in bash, optionally as a login shell; /usr/local/bin is on the PATH of both. The probes use HTTP, so wget is not
# needed. A tag can move: in your own registry, pin the digest as well (FROM python:…@sha256:…).
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
# By default numba, matplotlib and the hub client write their caches beside the code or to the home folder, which may be read-only.
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 \
    NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib HF_HOME=/tmp/huggingface XDG_CACHE_HOME=/tmp/cache
# All extras but `inspect`, which would add more than forty packages; `hub` is for audits of logs on the hub.
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
