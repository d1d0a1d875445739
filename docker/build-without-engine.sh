#!/usr/bin/env bash
# Builds the image and runs it once on a Debian machine that has no Docker engine.
#
#   docker/build-without-engine.sh build     base system from this machine's own package sources, then the image
#   docker/build-without-engine.sh try       a short life without root or a writable disk: a pretend hospital sends to it
#   docker/build-without-engine.sh export F  the image as an archive another machine can load
#   docker/build-without-engine.sh clean     removes what the two made
#
# Needs (apt-get install): mmdebstrap buildah podman runc. Run it as root.
# BUILD_VOLUMES names host:container:ro mounts the builder needs, separated by spaces: a network with
# its own certificate authority or its own package mirror mounts them here.
set -euo pipefail
cd "$(dirname "$0")/.."

image="${GATEWAY_IMAGE:-localhost/health-gateway:0.1.0}"
base="localhost/health-gateway-base:bookworm"
node="localhost/health-gateway-node:bookworm"
work="${WORK:-var/image}"
port="${PORT:-18080}"
mllp_port="${MLLP_PORT:-12575}"
# Raising these limits is refused on small machines; naming the present ones is not.
limits=(--ulimit nofile=1024:1024 --ulimit nproc=1024:1024)

build() {
    mkdir -p "$work/base"
    if [[ ! -s "$work/base/base.tar" ]]; then
        mmdebstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/base/base.tar"
    fi
    mkdir -p "$work/node"
    if [[ ! -s "$work/node/base.tar" ]]; then
        mmdebstrap --variant=minbase --include=npm,ca-certificates bookworm "$work/node/base.tar"
    fi
    for one in base node; do
        printf 'FROM scratch\nADD base.tar /\n' >"$work/$one/Dockerfile"
        buildah build --isolation chroot --format docker --pull-never --tag "${!one}" "$work/$one"
    done
    local mounts=()
    for volume in ${BUILD_VOLUMES:-}; do mounts+=(--volume "$volume"); done
    # The docker format keeps HEALTHCHECK; the OCI format has none.
    buildah build --isolation chroot --format docker --pull-never --build-arg "BASE=$base" \
        --build-arg "NODE=$node" \
        --ignorefile docker/Dockerfile.dockerignore "${mounts[@]}" \
        --tag "$image" --file docker/Dockerfile .
}

in_container() {
    podman --runtime runc --cgroup-manager cgroupfs run --rm "${limits[@]}" \
        --no-healthcheck --network host --read-only --cap-drop=all \
        --security-opt no-new-privileges --memory 512m \
        --volume "$PWD/$work/data:/var/lib/gateway" \
        --env GATEWAY_HOST=127.0.0.1 --env "GATEWAY_PORT=$port" \
        --env GATEWAY_BEHIND_PROXY=true --env GATEWAY_BASE_URL=https://gateway.example \
        --env "GATEWAY_MLLP_PORT=$mllp_port" --env GATEWAY_MLLP_PLAIN=people-his=127.0.0.1/32 \
        --env GATEWAY_COUNTY_FILE=/opt/gateway/app/gateway/demo/county.toml "$@"
}

try() {
    rm -rf "${work:?}/data"
    mkdir -p "$work/data"
    chown 10001:10001 "$work/data"
    chmod 0700 "$work/data"
    in_container "$image" init
    in_container "$image" check-config >/dev/null
    in_container --name health-gateway-try --detach "$image" serve >/dev/null
    trap 'podman rm --force --time 10 health-gateway-try >/dev/null 2>&1 || true' EXIT
    local verdict=1
    for _ in $(seq 40); do
        if podman exec health-gateway-try python /opt/gateway/bin/healthcheck.py; then
            verdict=0
            break
        fi
        sleep 0.5
    done
    if ((verdict)); then
        podman logs health-gateway-try >&2
        echo "The gateway did not become ready." >&2
        return 1
    fi
    echo "user: $(podman exec health-gateway-try python -c 'import os; print(os.getuid())')"
    if podman exec health-gateway-try python -c 'open("/opt/gateway/x", "w")' 2>/dev/null; then
        echo "The container could write to its own program." >&2
        return 1
    fi
    podman exec health-gateway-try python -m gateway.demo.hospital 127.0.0.1 "$mllp_port"
    for _ in $(seq 120); do
        [[ "$(podman exec health-gateway-try health-gateway source list | awk '$1 == "people-his" {print $7}')" == 0 ]] && break
        sleep 0.5
    done
    podman exec health-gateway-try health-gateway source list
    podman stop --time 30 health-gateway-try >/dev/null
    in_container "$image" audit verify
    echo "The image answers, without root and without a writable disk."
}

case "${1:-}" in
    build) build ;;
    try) try ;;
    export) buildah push --quiet "$image" "docker-archive:${2:?a file to write}" ;;
    clean)
        podman rmi --force "$image" "$base" "$node" >/dev/null 2>&1 || true
        rm -rf "${work:?}"
        ;;
    *)
        sed -n '2,12s/^# \{0,1\}//p' "$0"
        exit 2
        ;;
esac
