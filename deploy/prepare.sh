#!/bin/sh
# What compose.yaml needs and nobody can ship: passwords, tokens, a certificate to try with, an example hall.
# sh deploy/prepare.sh [DIRECTORY]     default: deploy/site. What is there already is kept.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
site=${1:-$here/site}
jiaohao=${JIAOHAO:-$here/../.venv/bin/jiaohao}
mkdir -p "$site/halls" "$site/broker/tls" "$site/secrets" "$site/watch"
site=$(cd "$site" && pwd)

[ -n "$(ls "$site/halls")" ] || cp "$here/example/halls/"*.toml "$site/halls/"
[ -e "$site/jiaohao.toml" ] || cp "$here/example/jiaohao.toml" "$site/jiaohao.toml"

# the broker: its files as the program writes them; inside the network of containers the core is not on loopback
"$jiaohao" broker files --access "$site/access" --out "$site/broker" >/dev/null 2>&1
sed -i -e 's/^listener 1883 127\.0\.0\.1$/listener 1883/' -e 's|^persistence_location .*|persistence_location /mosquitto/data/|' \
  "$site/broker/mosquitto.conf"
cp "$site/access/core.password" "$site/secrets/broker_password"
if [ ! -e "$site/broker/tls/server.crt" ]; then # to try with: a hall brings certificates of its own authority
  openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=jiaohao" -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" \
    -keyout "$site/broker/tls/server.key" -out "$site/broker/tls/server.crt" 2>/dev/null
  cp "$site/broker/tls/server.crt" "$site/broker/tls/ca.crt"
fi

# tokens are shown once: those of people go to the screen, that of Prometheus into its file
if [ ! -e "$site/secrets/tokens.toml" ]; then
  halls=$(cd "$site/halls" && for file in *.toml; do printf -- '--hall %s ' "${file%.toml}"; done)
  for role in operator clerk guide device; do
    # shellcheck disable=SC2086 # one word a hall
    printf '%s token: ' "$role"
    "$jiaohao" token add --role "$role" $halls --file "$site/secrets/tokens.toml" 2>/dev/null
  done
  "$jiaohao" token add --role metrics $halls --file "$site/secrets/tokens.toml" >"$site/watch/metrics_token" 2>/dev/null
fi
for name in alert_token grafana_password; do
  [ -e "$site/watch/$name" ] || openssl rand -hex 16 >"$site/watch/$name"
done

# containers run as users of their own and read these as others; the directory itself is for its owner alone
chmod 700 "$site"
chmod -R go+rX "$site/halls" "$site/broker" "$site/jiaohao.toml"
chmod 644 "$site/watch/metrics_token" "$site/watch/alert_token" "$site/watch/grafana_password"
if [ "$(id -u)" = 0 ]; then # secrets: the core's own
  chown -R 10001:10001 "$site/secrets"
else
  printf 'as root: chown -R 10001:10001 %s\n' "$site/secrets" >&2
fi
printf 'ready: %s\n' "$site" >&2
