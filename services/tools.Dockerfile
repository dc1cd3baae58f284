# The same image as `tools` in Dockerfile, from what scripts/images.sh has collected.
ARG SPIRE_AGENT_IMAGE
FROM ${SPIRE_AGENT_IMAGE}
COPY root/ /
ENV PATH=/opt/spiffe-lab/bin:/opt/spire/bin:/bin OPENSSL_CONF=/etc/ssl/openssl.cnf
WORKDIR /work
ENTRYPOINT []
