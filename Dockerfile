# The images of the gateway and of its processor (docs/containers.md):
#   docker build -t polyglot:latest .
#   docker build -t polyglot-processor:latest --target processor .

FROM python:3.12-slim-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake g++ libboost-dev libnghttp2-dev libsimdjson-dev ninja-build \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY CMakeLists.txt LICENSE README.md pyproject.toml ./
COPY cpp cpp
COPY python python
# The environment gets no pip: nothing is to be installed into it later. What it holds, the wheels decide.
# hadolint ignore=DL3013
RUN --mount=type=cache,target=/root/.cache/pip \
    pip wheel --wheel-dir /wheels '.[grpc,otel]' \
 && python -m venv --without-pip /opt/polyglot \
 && pip --python /opt/polyglot/bin/python install --no-index --find-links /wheels 'polyglot-gateway[grpc,otel]'

FROM python:3.12-slim-bookworm AS runtime
LABEL org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="0.1.0"
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends libnghttp2-14 libsimdjson14 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 polyglot \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin polyglot \
 && install -d -o polyglot -g polyglot /data
COPY --from=build /opt/polyglot /opt/polyglot
ENV PATH=/opt/polyglot/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Functions of yours, and polyglot.toml, are found here.
WORKDIR /app
# By its number, so that Kubernetes can see that it is not root.
USER 10001:10001
STOPSIGNAL SIGTERM

FROM runtime AS processor
LABEL org.opencontainers.image.title="polyglot-processor"
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/health', timeout=4)"]
ENTRYPOINT ["polyglot", "processor", "--host", "0.0.0.0"]

# The last one, so that it is what is built unless another is named.
FROM runtime AS gateway
LABEL org.opencontainers.image.title="polyglot"
# Production by its second name: POLYGLOT_ENV and MIX_ENV both go before it. Development would be bound to the container's
# loopback, where nobody reaches it, and has to be told its BIND.
ENV MIX_ENV=prod DATA_DIR=/data
VOLUME /data
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:4000/alive', timeout=4)"]
ENTRYPOINT ["polyglot"]
CMD ["serve"]
