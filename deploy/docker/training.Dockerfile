# The training service and every node of the Ray cluster: one image, so that versions cannot differ.
# torch comes for the CPU; TORCH_INDEX_URL=https://download.pytorch.org/whl/cu130 (or another) gives it CUDA.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS requirements
WORKDIR /build
COPY pyproject.toml deploy/docker/requirements.py ./
RUN python requirements.py pyproject.toml train s3 > requirements.txt

FROM ${PYTHON_IMAGE} AS packages
WORKDIR /build
RUN python -m venv --without-pip /opt/venv
COPY constraints.txt ./
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python /opt/venv/bin/python install --retries 1 --extra-index-url "${TORCH_INDEX_URL}" \
      -c constraints.txt torch
COPY --from=requirements /build/requirements.txt ./
# Afterwards goes what only compiling against these packages, or testing them, would need.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python /opt/venv/bin/python install -c constraints.txt -r requirements.txt \
 && set -- /opt/venv/lib/python3*/site-packages \
 && rm -rf "$1/torch/test" "$1/torch/include" "$1"/torch/bin/test_* "$1"/torch/bin/*Test "$1"/torch/bin/protoc* \
      "$1/ray/jars" "$1/pandas/tests" "$1/pyarrow/tests" "$1/pyarrow/include" "$1/matplotlib/tests"

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
RUN groupadd --gid 10001 drivetrain \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin drivetrain \
 && install -d -o 10001 -g 10001 /var/lib/drivetrain /var/spool/drivetrain
ENV PATH=/opt/drivetrain/bin:/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/drivetrain \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    DRIVETRAIN_HOME=/var/lib/drivetrain \
    DRIVETRAIN_LOG_FORMAT=json \
    DRIVETRAIN_TRAINING_HOST=0.0.0.0 \
    MLFLOW_DISABLE_TELEMETRY=true \
    RAY_USAGE_STATS_ENABLED=0
COPY --link --chmod=755 deploy/docker/entrypoint.sh deploy/docker/probe_http.py /usr/local/bin/
COPY --link --from=packages /opt/venv /opt/venv
COPY --link --from=code /opt/drivetrain /opt/drivetrain
USER 10001:10001
WORKDIR /tmp
EXPOSE 8003 8004
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --start-interval=1s --retries=3 \
    CMD ["python", "-m", "services.rpc.probe", "127.0.0.1:8003"]
ENTRYPOINT ["entrypoint.sh"]
CMD ["python", "-m", "services.training"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Drivetrain training service and Ray" \
      org.opencontainers.image.description="Takes training specs over gRPC and trains them on Ray; also a Ray node" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
