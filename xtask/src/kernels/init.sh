#!/bin/busybox sh
# The first process of a guest: runs the scenarios in /scenarios and prints their results. Lines that
# begin with @@ are parsed by kernels/console.rs.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp TERM=linux RUST_BACKTRACE=0
# Tests send fewer packets and wait longer where the processor is emulated.
export NETVIZ_EMULATED=1
# Tests read fixtures below it.
export CARGO_MANIFEST_DIR=/tests
# The limit of systemd services. netviz raises its own; tests that act as netviz do not.
ulimit -n 65536
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
mount -t cgroup2 cgroup /sys/fs/cgroup 2>/dev/null
# Mount namespaces that tests create must receive mounts.
mount --make-rshared /
ip link set lo up
for module in $(cat /modules/order); do
  insmod "/modules/$module" || echo "@@log cannot load module $module"
done

# Hundredths of a second since the boot.
now() { cut -d' ' -f1 /proc/uptime | tr -d .; }

# run NAME LIMIT COMMAND..: runs a scenario, then prints its output and result at once.
run() {
  name=$1 limit=$2
  shift 2
  out=/tmp/out.$name
  begin=$(now)
  timeout -s KILL "$limit" "$@" >"$out" 2>&1 </dev/null
  code=$?
  took=$(($(now) - begin))
  {
    case "$code $name" in
      "0 demo::"*) sed 's/^/| /' "$out" ;;
      "0 "*) grep -E 'skipped here: |^test result: ' "$out" | sed 's/^/| /' ;;
      *) tail -n 60 "$out" | sed 's/^/| /' ;;
    esac
    echo "@@end $name $code $took"
  } >"$out.report"
  # One at a time: mkdir is atomic, and busybox has no flock everywhere.
  until mkdir /tmp/console 2>/dev/null; do sleep 0.1; done
  cat "$out.report"
  rmdir /tmp/console
  rm "$out" "$out.report"
}

# lane N: runs every second scenario in turn; most wait for the kernel. Lane 2 has those that change the
# machine, and runs last.
lane() {
  number=0
  while read -r name limit command; do
    case "$name" in
      *::exclusive_*) lane=2 ;;
      *) number=$((number + 1)) lane=$((number % 2)) ;;
    esac
    # $command is a program and its arguments, none with a space in it.
    [ "$lane" = "$1" ] && run "$name" "$limit" $command
  done </scenarios
}

echo "@@ready $(now)"
lane 0 &
lane 1
wait
lane 2
dmesg | grep -E 'BUG:|WARNING:|Oops|general protection' | grep -v 'soft lockup' | sed 's/^/@@log /'
echo "EXIT_CODE 0"
poweroff -f
