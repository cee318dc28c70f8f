#!/bin/sh
# Times dequantize under oclgrind's race detector, on tests/bench/dequant.cl: oclgrind.sh [WEIGHTS]
# (default 2^20; oclgrind's time grows with them). Beside it: simt_speed. Debian package: oclgrind.
set -eu
weights=${1:-1048576}
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
cp "$(dirname "$0")/dequant.cl" "$folder"
cat >"$folder/dequant.sim" <<SIM
dequant.cl
dequant
$((weights / 8)) 1 1
256 1 1
<size=$((weights / 2)) fill=165 uchar>
<size=$((weights / 16)) fill=1 float>
<size=$((weights * 2)) fill=0 uchar>
SIM
cd "$folder"
start=$(date +%s.%N)
oclgrind-kernel --data-races dequant.sim
end=$(date +%s.%N)
echo "oclgrind --data-races: $weights weights in $(echo "$end - $start" | bc) s"
