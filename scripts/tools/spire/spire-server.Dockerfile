# The spire-server that scripts/images.sh has compiled, laid out as in the official image.
FROM scratch
COPY --chown=1000:1000 root/ /
COPY ca-certificates.crt /etc/ssl/certs/
WORKDIR /opt/spire
USER 1000:1000
ENTRYPOINT ["/opt/spire/bin/spire-server", "run"]
CMD []
