# The service and the witness in one image. Everything that is kept lies below /var/lib/treering:
#
#   docker build -t treering .
#   docker run --rm -v treering:/var/lib/treering treering init --dir /var/lib/treering \
#       --trust-domain prod.bank.example --host identity.bank.example --listen 0.0.0.0:8443   (once)
#   docker run -p 8443:8443 -v treering:/var/lib/treering treering
#
# A witness has another volume, and other people:
#   docker run --entrypoint treering-witness -v witness:/var/lib/treering treering \
#       serve --config /var/lib/treering/witness.toml
#
# Both stages are of one Debian release, since the binaries link to its RocksDB.

FROM rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends libclang-dev librocksdb-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN cargo build --locked --release -p treering -p treering-witness --bins

FROM debian:bookworm-slim
# openssl: the stock client with which `treering demo` shows mutual TLS.
RUN apt-get update \
    && apt-get install -y --no-install-recommends librocksdb7.8 openssl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/treering --shell /usr/sbin/nologin treering \
    && install -d -o treering -g treering -m 0700 /var/lib/treering
COPY --from=build /build/target/release/treering /build/target/release/treering-witness /usr/local/bin/
USER treering
WORKDIR /var/lib/treering
VOLUME ["/var/lib/treering"]
EXPOSE 8443
# Graceful shutdown (drain the pool, sync, close the store) is what SIGTERM asks for.
STOPSIGNAL SIGTERM
ENTRYPOINT ["treering"]
CMD ["serve", "--config", "/var/lib/treering/treering.toml"]
