# One image for both roles: `serve` (the default) runs the site, `train` runs one training job in
# SageMaker's container layout under /opt/ml.
#
#   docker build -t llm-tuner .
#   docker run --read-only --tmpfs /tmp -v llm-tuner:/data -p 127.0.0.1:5000:5000 llm-tuner

FROM node:22-bookworm-slim AS node

FROM rust:1.95-bookworm AS build
# The build needs Node.js for npm and for wasm-opt.
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules/npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
    && rustup target add wasm32-unknown-unknown
WORKDIR /src
COPY . .
# Cargo's downloads and its target directory stay between builds; what the image takes is copied
# out of them. `fetch --locked` fails on a Cargo.lock that does not fit, instead of changing it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo fetch --locked \
    && cargo xtask build --release \
    && install -D target/release/llm-tuner /image/usr/local/bin/llm-tuner \
    && mkdir -p /image/usr/local/share/llm-tuner \
    && cp -r target/site /image/usr/local/share/llm-tuner/site

FROM debian:bookworm-slim
# Where SageMaker mounts a job with directories of root alone, build with --build-arg APP_UID=0.
ARG APP_UID=10001
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin llm-tuner \
    && install -d -o 10001 -g 10001 /data /opt/ml
COPY --from=build /image/ /
ENV LEPTOS_SITE_ADDR=0.0.0.0:5000 \
    LEPTOS_SITE_ROOT=/usr/local/share/llm-tuner/site \
    DATA_DIR=/data
# Everything that is written lies in DATA_DIR, so the root file system may be read-only.
WORKDIR /data
VOLUME ["/data"]
EXPOSE 5000
USER ${APP_UID}
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 CMD ["llm-tuner", "health"]
ENTRYPOINT ["llm-tuner"]
CMD ["serve"]
