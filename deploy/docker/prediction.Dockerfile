# The prediction service: gRPC and onnxruntime. No torch, no Ray, no compiler.
# Third-party packages come first and stay cached; our code is the last layer.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS requirements
WORKDIR /build
COPY pyproject.toml deploy/docker/requirements.py ./
RUN python requirements.py pyproject.toml otel > requirements.txt

FROM ${PYTHON_IMAGE} AS packages
WORKDIR /build
RUN python -m venv --without-pip /opt/venv
COPY constraints.txt ./
COPY --from=requirements /build/requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python /opt/venv/bin/python install -c constraints.txt -r requirements.txt

FROM packages AS code
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python /opt/venv/bin/python install -c constraints.txt setuptools
COPY pyproject.toml README.md LICENSE ./
COPY pipelines pipelines
COPY services services
RUN python -m pip --python /opt/venv/bin/python install --no-deps --no-build-isolation --no-cache-dir \
      --target /opt/drivetrain . \
 && chmod -R a+rX /opt/drivetrain

FROM ${PYTHON_IMAGE}
# With glibc's malloc the threads that pass on requests wait for one another: jemalloc answers a tenth more.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libjemalloc2 \
 && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 drivetrain \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin drivetrain \
 && install -d -o 10001 -g 10001 /var/cache/drivetrain
ENV LD_PRELOAD=libjemalloc.so.2 \
    PATH=/opt/drivetrain/bin:/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/drivetrain \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    DRIVETRAIN_LOG_FORMAT=json \
    DRIVETRAIN_PREDICTION_HOST=0.0.0.0 \
    DRIVETRAIN_PREDICTION_CACHE_DIR=/var/cache/drivetrain
COPY --link --chmod=755 deploy/docker/entrypoint.sh /usr/local/bin/entrypoint.sh
COPY --link --from=packages /opt/venv /opt/venv
COPY --link --from=code /opt/drivetrain /opt/drivetrain
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000 8001 8002
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --start-interval=1s --retries=3 \
    CMD ["python", "-m", "services.rpc.probe", "127.0.0.1:8001"]
ENTRYPOINT ["entrypoint.sh"]
CMD ["python", "-m", "services.prediction"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Drivetrain prediction service" \
      org.opencontainers.image.description="Open Inference Protocol v2 over gRPC for MLflow's champions" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
