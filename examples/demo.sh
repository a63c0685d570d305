#!/bin/sh
# Three nodes on this machine: no address is given to any of them. Each runs
# the counter once; when all three hold 3, they have found each other and agree.
#
#	make demo
set -eu
cd "$(dirname "$0")/.."

node=bin/numax-node
guest=examples/counter/counter.wasm
key=counter:visits
patience=60 # seconds

for file in $node $guest; do
	[ -f $file ] || { echo "demo: no $file here: run make build first" >&2; exit 1; }
done

# Nodes of one machine meet in a directory under TMPDIR. One of its own, and a
# network of its own, keep this demo and the user's other nodes apart.
work=$(mktemp -d "${TMPDIR:-/tmp}/numax-demo.XXXXXX")
network=demo-$$
pids=
mkdir "$work/tmp"

finish() {
	trap - EXIT INT TERM
	for pid in $pids; do kill "$pid" 2>/dev/null || :; done
	for pid in $pids; do wait "$pid" 2>/dev/null || :; done
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
	echo "demo: $1" >&2
	for n in 1 2 3; do
		echo "--- log of node $n" >&2
		cat "$work/$n.log" >&2
	done
	exit 1
}

within() { # seconds left, and all nodes alive, or fail with $1
	for pid in $pids; do
		kill -0 "$pid" 2>/dev/null || fail "a node ended early"
	done
	[ "$(date +%s)" -lt $deadline ] || fail "$1, after $patience s"
	sleep 0.1
}

value() { # of the counter on node $1
	$node data get gcounter $key --data "$work/$1" 2>&1 || :
}

echo "three nodes, no addresses given; each runs $guest once"
for n in 1 2 3; do
	TMPDIR=$work/tmp $node run $guest --data "$work/$n" --network "$network" \
		--listen /ip4/127.0.0.1/tcp/0 --json >"$work/$n.log" 2>&1 </dev/null &
	pids="$pids $!"
done

deadline=$(($(date +%s) + patience))
for n in 1 2 3; do
	# Not asked before it serves: data get would open the store itself.
	until grep -q '"event":"ready"' "$work/$n.log"; do
		within "node $n does not serve"
	done
	until [ "$(value $n)" = "$key = 3" ]; do
		within "node $n has '$(value $n)', want '$key = 3'"
	done
done
for n in 1 2 3; do
	value $n
done

for pid in $pids; do kill "$pid"; done
for pid in $pids; do wait "$pid" || fail "a node did not stop cleanly: exit $?"; done
pids=
