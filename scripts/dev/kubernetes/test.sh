#!/usr/bin/env bash
# Checks the lab on Kubernetes: on the cluster that KUBECONFIG names, if YES=1 confirms it, else on a new cluster.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ -n "${KUBECONFIG:-}" ] && [ "${YES:-}" = 1 ]; then exec "$here/checks.sh"; fi
YES=1 exec "$here/cluster.sh" "$here/checks.sh"
