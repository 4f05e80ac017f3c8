# MLflow: tracking, registry, artifact proxy and users, with the drivers of PostgreSQL and S3.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
WORKDIR /build
RUN python -m venv --without-pip /opt/venv
COPY constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python /opt/venv/bin/python install -c constraints.txt 'mlflow[auth]' psycopg2-binary boto3 \
 && set -- /opt/venv/lib/python3*/site-packages \
 && rm -rf "$1/pandas/tests" "$1/pyarrow/tests" "$1/pyarrow/include" "$1/matplotlib/tests"

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 drivetrain \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin drivetrain \
 && install -d -o 10001 -g 10001 /var/lib/mlflow/artifacts /volumes/artifacts /volumes/state /volumes/served
# PostgreSQL's own variables (PGHOST, PGUSER, PGPASSWORD ...) say where the databases are.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    MLFLOW_AUTH_CONFIG_PATH=/etc/mlflow/auth.ini \
    MLFLOW_BACKEND_STORE_URI=postgresql+psycopg2:///mlflow \
    MLFLOW_ARTIFACTS_DESTINATION=/var/lib/mlflow/artifacts
COPY --link --chmod=755 deploy/docker/entrypoint.sh deploy/docker/probe_http.py deploy/docker/mlflow_admin.py /usr/local/bin/
COPY --link --chmod=644 deploy/docker/mlflow-auth.ini /etc/mlflow/auth.ini
COPY --link --from=packages /opt/venv /opt/venv
USER 10001:10001
WORKDIR /tmp
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --start-interval=1s --retries=3 \
    CMD ["python", "/usr/local/bin/probe_http.py", "http://127.0.0.1:5000/health"]
ENTRYPOINT ["entrypoint.sh"]
CMD ["mlflow", "server", "--app-name", "basic-auth", "--host", "0.0.0.0", "--port", "5000", "--workers", "1"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="MLflow for Drivetrain" \
      org.opencontainers.image.description="MLflow's tracking server with users, and the drivers of PostgreSQL and S3" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
