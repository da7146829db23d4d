#!/bin/busybox sh
# The first process of a guest: runs what /scenarios lists, and says on the console what became of
# each. Lines that begin with @@ are read by kernels/console.rs.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp TERM=linux RUST_BACKTRACE=0
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
# What runs here must not be a private copy of the mounts for the namespaces that tests make.
mount --make-rshared /
ip link set lo up
for module in $(cat /modules/order); do
  insmod "/modules/$module" || echo "@@log module $module does not load"
done

# Hundredths of a second since the boot.
now() { cut -d' ' -f1 /proc/uptime | tr -d .; }

echo "@@ready $(now)"
while read -r name limit command; do
  echo "@@begin $name"
  begin=$(now)
  # $command is a program and its arguments, none with a space in it.
  timeout -s KILL "$limit" $command >/tmp/out 2>&1 </dev/null
  code=$?
  case "$code $name" in
    "0 demo::"*) sed 's/^/| /' /tmp/out ;;
    "0 "*) grep -E 'skipped here: |^test result: ' /tmp/out | sed 's/^/| /' ;;
    *) tail -n 60 /tmp/out | sed 's/^/| /' ;;
  esac
  echo "@@end $name $code $(($(now) - begin))"
done </scenarios
dmesg | grep -E 'BUG:|WARNING:|Oops|general protection' | grep -v 'soft lockup' | sed 's/^/@@log /'
echo "EXIT_CODE 0"
poweroff -f
