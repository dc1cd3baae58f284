# The same image as `workload` in Dockerfile, from programs that scripts/images.sh has compiled.
FROM scratch
COPY root/ /
ENV PATH=/opt/spiffe-lab/bin
