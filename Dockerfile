# tailrace in a container, as an unprivileged user:
#
#   docker build -t tailrace .
#   docker run --init -v ./pipelines:/pipelines -e PGPASSWORD tailrace run orders.yaml
#
# What a pipeline keeps on its machine lies beside its file, in data/: the user of the container (10001) must be
# able to write there. SIGTERM reaches tailrace itself, which delivers what it has read and leaves within 8 s.
FROM python:3.12-slim AS wheels
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY tailrace tailrace
COPY connectors connectors
COPY sinks sinks
COPY offsets offsets
RUN pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:3.12-slim
COPY --from=wheels /wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links /wheels tailrace \
    && rm -r /wheels \
    && useradd --uid 10001 --home-dir /pipelines --create-home tailrace \
    && install --directory --owner=tailrace --group=tailrace /pipelines/data
USER tailrace
WORKDIR /pipelines
STOPSIGNAL SIGTERM
ENTRYPOINT ["tailrace"]
CMD ["--help"]
