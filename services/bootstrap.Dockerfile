# The same image as `bootstrap` in Dockerfile, from a shell that scripts/images.sh has compiled.
ARG SPIRE_SERVER_IMAGE
FROM ${SPIRE_SERVER_IMAGE}
COPY root/ /
ENTRYPOINT ["/bin/sh"]
