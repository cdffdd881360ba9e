#!/usr/bin/env bash
# An experiment on several hosts without a batch system: run this on each of them, with its number.
#   NODES=2 GPUS=4 FIRST=node1 bash experiments/cluster/torchrun.sh NODE experiments/church.yaml --data.num_workers 8
# NODE counts from 0; FIRST is the name or address of host 0, at which the others reach it.
set -euo pipefail

# Edit these, or give them in the environment. The folder runs/ is to be one that all hosts share.
NODES=${NODES:-2}
GPUS=${GPUS:-4}
FIRST=${FIRST:-node1}
PORT=${PORT:-29500}
# The interface between the hosts, where there are several; `ip address` lists them.
# export NCCL_SOCKET_IFNAME=eth0 GLOO_SOCKET_IFNAME=eth0

node=$1
experiment=$2
shift 2

# No restarts by torchrun: one process that is gone ends all. Start this again on all hosts, and the run goes on.
exec torchrun --nnodes "$NODES" --node-rank "$node" --nproc-per-node "$GPUS" --max-restarts 0 \
    --master-addr "$FIRST" --master-port "$PORT" \
    -m wavelight fit --config "$experiment" --config experiments/parts/cluster.yaml \
    --trainer.num_nodes "$NODES" --trainer.devices "$GPUS" --ckpt_path last "$@"
