#!/bin/sh
# Which passwords does docker compose start with? Fresh ones, drawn once: a file that is there is left alone.
set -eu
umask 077

file=${1:-"$(dirname "$0")/../.env"}

if [ -e "$file" ]; then
    echo "$file is there already and is kept (a new password would lock you out of the database it made)"
    exit 0
fi

draw() {
    od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'
}

cat > "$file.new" <<END
POSTGRES_PASSWORD=$(draw)
WAYMARK_SECRET=$(draw)
WAYMARK_KEYS=write:default:wm_write_$(draw),read:default:wm_read_$(draw),admin:default:wm_admin_$(draw)
END
mv "$file.new" "$file"
echo "wrote $file"
