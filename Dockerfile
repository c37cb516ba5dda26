# kargoweb as a container: no root, nothing to write to but /data, no pip, no demo, no tests.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /app
COPY requirements.lock ./
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --require-hashes --requirement requirements.lock \
    # The asynchronous copy of the Kubernetes client, which nothing imports: 68 MB.
    && rm -r /opt/venv/lib/python3.*/site-packages/kubernetes/aio \
    # Bytecode is made here and below, because the finished container cannot write any.
    && /opt/venv/bin/python -m compileall -q /opt/venv/lib
COPY LICENSE manage.py ./
COPY kargoweb/ kargoweb/
COPY receivers/ receivers/
COPY static/ static/
COPY templates/ templates/
# The directory is what tells the settings to serve collected files; the data directory is for this command only.
RUN /opt/venv/bin/python -m compileall -q kargoweb receivers \
    && mkdir staticfiles \
    # Without what no page loads: DRF's browsable API, ReDoc, and parts of Swagger UI.
    && KARGOWEB_DATA_DIR=/tmp/data /opt/venv/bin/python manage.py collectstatic --noinput --ignore rest_framework \
        --ignore redoc --ignore swagger-ui-standalone-* --ignore swagger-ui-bundle.js.map --ignore oauth2-* --ignore favicon-* \
    && rm -r /opt/venv/lib/python3.*/site-packages/drf_spectacular_sidecar/static

FROM ${PYTHON_IMAGE}
# The only directory that is written to: the SQLite database and the secret key, unless both are given from outside.
RUN pip uninstall --yes --root-user-action=ignore pip setuptools wheel && install -d -m 700 -o 65532 -g 65532 /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    KARGOWEB_DATA_DIR=/data \
    KARGOWEB_BIND=0.0.0.0 \
    PORT=8000
VOLUME /data
EXPOSE 8000
USER 65532:65532
CMD ["python", "manage.py", "serve"]
