# The spire-agent that scripts/images.sh has compiled, laid out as in the official image.
FROM scratch
COPY --chown=0:0 root/ /
COPY ca-certificates.crt /etc/ssl/certs/
WORKDIR /opt/spire
USER 0:0
ENTRYPOINT ["/opt/spire/bin/spire-agent", "run"]
CMD []
