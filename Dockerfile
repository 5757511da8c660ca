# The base is a tag, so that each build brings the newest fixes of Node 24 and Debian. For a build that can be repeated
# to the byte, give a digest: docker build --build-arg BASE_IMAGE=node:24-bookworm-slim@sha256:…
ARG BASE_IMAGE=node:24-bookworm-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# Without install scripts: the only one is of the dev dependency `node`, which would bring a second Node.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json vite.config.ts ./
COPY src src
RUN npm run build

FROM ${BASE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Types and source maps are a third of it, and nothing at run time reads them.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund && \
    find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="signal-intercom" \
      org.opencontainers.image.description="Turns Datafly Signal events into Intercom contacts and timeline events" \
      org.opencontainers.image.licenses="MIT"
# Memory goes back to the system, and heaps (CMD) stay small: left to malloc and V8, a large machine gives away 150 MB
# more under load (docs/benchmarks.md).
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=8080 \
    DATABASE_URL=file:/data/signal-intercom.db \
    MALLOC_ARENA_MAX=2
WORKDIR /app
# A new volume takes the owner of the directory that it covers.
RUN mkdir /data && chown 1000:1000 /data
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json openapi.yaml LICENSE* ./
# `docker run … signal-intercom doctor` says what is wrong, and how to mend it; `migrate` is for PostgreSQL.
RUN for command in doctor migrate; do chmod +x dist/$command.js && ln -s /app/dist/$command.js /usr/local/bin/$command; done
# By number, so that Kubernetes' runAsNonRoot can tell. The code stays root's: the service writes to /data alone.
USER 1000:1000
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["node", "-e", "require(process.env.TLS_CERT_FILE?'https':'http').get({host:'127.0.0.1',port:process.env.PORT,path:'/healthz',rejectUnauthorized:false},r=>process.exit(r.statusCode===200?0:1)).on('error',()=>process.exit(1))"]
# Also in this image: node dist/simulator/main.js, the simulated Intercom.
CMD ["node", "--v8-pool-size=1", "--max-semi-space-size=16", "--max-old-space-size=512", "dist/server.js"]
