#!/bin/sh
# Starts nginx and HAProxy, one process for each variant, so that `tollgate matrix --targets` can
# tell what TLS, mutual TLS and a JWT cost in them.
#
#   sh docs/examples/serve.sh [CORE]
#
# Keys, certificates and a token are made in a temporary directory, which is removed at the end.
# Everything is pinned to CORE (default 0) and listens on 127.0.0.1 only. It ends with Enter, with
# the end of its input, with Ctrl-C, and in any case after HOLD_S seconds (default 3600).
#
# Needs nginx, haproxy (2.6 or later), openssl, curl, and taskset and timeout of Linux.
set -eu

core=${1:-0}
hold_s=${HOLD_S:-3600}
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/usr/local/sbin
for tool in nginx haproxy openssl curl taskset timeout; do
  command -v "$tool" >/dev/null || { echo "serve.sh: $tool is not installed." >&2; exit 1; }
done

# HAProxy would share a port with another one of this user, and nginx wait for it.
for port in 18080 18081 18443 18444 18453 18454 18455; do
  code=0
  curl -s -m 2 -o /dev/null "http://127.0.0.1:$port/" || code=$?
  # 7 is a refused connection: nobody listens.
  [ "$code" -eq 7 ] || { echo "serve.sh: port $port is taken; end what listens there." >&2; exit 1; }
done

umask 077
dir=$(mktemp -d "${TMPDIR:-/tmp}/tollgate-examples-XXXXXX")
groups=
main_pids=
waiter=

stop() {
  trap - EXIT INT TERM
  [ -z "$waiter" ] || kill "$waiter" 2>/dev/null || :
  for pid in $main_pids; do kill "$pid" 2>/dev/null || :; done
  for pid in $main_pids; do wait "$pid" 2>/dev/null || :; done
  for group in $groups; do rmdir "$group" 2>/dev/null || :; done
  rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- keys ---------------------------------------------------------------------------------------

p256() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

certificate() { # name, extensions
  p256 "$1.key"
  printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n%s\n' "$2" >ext
  openssl req -new -key "$1.key" -subj "/CN=$1" |
    openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -sha256 -extfile ext \
      -out "$1.crt" 2>/dev/null
}

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# The signature of a JWT is two numbers of 32 bytes (RFC 7518 section 3.4); openssl wraps them.
raw_signature() {
  openssl asn1parse -inform DER | sed -n 's/.*INTEGER *:\(.*\)/\1/p' | while read -r number; do
    printf '%64s' "$number" | tr ' ' 0
  done | sed 's/../& /g' | tr ' ' '\n' | while read -r byte; do
    # An empty last line is no byte.
    [ -z "$byte" ] || printf "\\$(printf %o "0x$byte")"
  done
}

token() { # issuer, audience, seconds to live, key
  now=$(date +%s)
  header=$(printf '{"alg":"ES256","typ":"at+jwt","kid":"example"}' | base64url)
  claims=$(printf '{"iss":"%s","aud":"%s","sub":"bench","iat":%d,"exp":%d}' \
    "$1" "$2" "$now" "$((now + $3))" | base64url)
  signature=$(printf '%s.%s' "$header" "$claims" |
    openssl dgst -sha256 -sign "$4" | raw_signature | base64url)
  printf '%s.%s.%s\n' "$header" "$claims" "$signature"
}

cd "$dir"
mkdir tmp
p256 ca.key
openssl req -x509 -new -key ca.key -sha256 -days 2 -subj "/CN=tollgate examples" \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -out ca.crt
certificate server 'extendedKeyUsage=serverAuth
subjectAltName=DNS:localhost,IP:127.0.0.1'
certificate client 'extendedKeyUsage=clientAuth'
cat server.crt server.key >server.pem
p256 jwt.key
p256 stranger.key
openssl pkey -in jwt.key -pubout -out jwt.pub
token https://issuer.example orders-api 43200 jwt.key >token
cp "$here"/*.conf "$here"/*.cfg "$here"/*.toml .
# An nginx that root starts lets an unprivileged worker into these directories only.
chmod 755 . tmp

# --- servers ------------------------------------------------------------------------------------

# A writable control group of version 2, where the system has one: its books check ours.
cgroup_root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)

start() { # variant, command..
  name=$1
  shift
  group=
  if [ -n "$cgroup_root" ] && mkdir "$cgroup_root/tollgate-$name-$$" 2>/dev/null; then
    group=$cgroup_root/tollgate-$name-$$
    groups="$groups $group"
    ln -s "$group" "$name.cgroup"
  fi
  (
    # The group is entered first, so that it books the server whole. Not all may do that.
    [ -z "$group" ] || sh -c 'echo "$PPID" >"$0/cgroup.procs"' "$group" 2>/dev/null || :
    exec taskset -c "$core" "$@" >"$name.out" 2>&1 </dev/null
  ) &
  main_pids="$main_pids $!"
  echo "$!" >"$name.pid"
}

ready() { # variant, port
  tries=0
  while [ "$tries" -lt 100 ]; do
    code=0
    curl -sk -m 2 -o /dev/null "https://127.0.0.1:$2/" || code=$?
    [ "$code" -eq 7 ] || break
    tries=$((tries + 1))
    sleep 0.05
  done
  pid=$(cat "$1.pid")
  if [ "$code" -eq 7 ] || ! kill -0 "$pid" 2>/dev/null; then
    echo "serve.sh: $1 did not start:" >&2
    cat "$1.out" "$1.log" >&2 2>/dev/null || :
    exit 1
  fi
  # nginx works in a child of its main process.
  cat "/proc/$pid/task/$pid/children" >>"$1.pid" 2>/dev/null || :
}

start nginx-plain nginx -p "$dir" -c nginx-plain.conf -e nginx-plain.log
start nginx-tls nginx -p "$dir" -c nginx-tls.conf -e nginx-tls.log
start nginx-mtls nginx -p "$dir" -c nginx-mtls.conf -e nginx-mtls.log
for variant in plain tls mtls jwt; do
  start "haproxy-$variant" haproxy -db -C "$dir" -f "haproxy-$variant.cfg"
done
ready nginx-plain 18080
ready nginx-tls 18443
ready nginx-mtls 18444
ready haproxy-plain 18081
ready haproxy-tls 18453
ready haproxy-mtls 18454
ready haproxy-jwt 18455

# --- is every variant what its name says? --------------------------------------------------------

wrong=0
expect() { # what, wanted status (000 for none), curl's words..
  what=$1
  wanted=$2
  shift 2
  got=$(curl -s -m 5 -o /dev/null -w '%{http_code}' --cacert ca.crt "$@") || :
  [ "$got" = "$wanted" ] || { echo "serve.sh: $what: status $got, not $wanted" >&2; wrong=1; }
}
bearer() { printf 'Authorization: Bearer %s\n' "$1" >bearer; }

tls='https://127.0.0.1'
expect 'nginx plain' 200 http://127.0.0.1:18080/
expect 'nginx TLS' 200 "$tls:18443/"
expect 'nginx TLS 1.2' 000 --tls-max 1.2 "$tls:18443/"
expect 'nginx mutual TLS' 200 --cert client.crt --key client.key "$tls:18444/"
expect 'nginx mutual TLS without a certificate' 400 "$tls:18444/"
expect 'HAProxy plain' 200 http://127.0.0.1:18081/
expect 'HAProxy TLS' 200 "$tls:18453/"
expect 'HAProxy TLS 1.2' 000 --tls-max 1.2 "$tls:18453/"
expect 'HAProxy mutual TLS' 200 --cert client.crt --key client.key "$tls:18454/"
expect 'HAProxy mutual TLS without a certificate' 000 "$tls:18454/"
bearer "$(cat token)"
expect 'HAProxy JWT' 200 -H @bearer "$tls:18455/"
expect 'HAProxy JWT without a token' 401 "$tls:18455/"
bearer "$(cat token)x"
expect 'HAProxy JWT, signature changed' 401 -H @bearer "$tls:18455/"
bearer "$(token https://issuer.example orders-api 43200 stranger.key)"
expect "HAProxy JWT, a stranger's signature" 401 -H @bearer "$tls:18455/"
bearer "$(token https://issuer.example orders-api -60 jwt.key)"
expect 'HAProxy JWT, too old' 401 -H @bearer "$tls:18455/"
bearer "$(token https://other.example orders-api 43200 jwt.key)"
expect 'HAProxy JWT, another issuer' 401 -H @bearer "$tls:18455/"
bearer "$(token https://issuer.example other-api 43200 jwt.key)"
expect 'HAProxy JWT, another audience' 401 -H @bearer "$tls:18455/"
rm -f bearer stranger.key
[ "$wrong" -eq 0 ] || exit 1

# The same lists once more, with CPU from control groups, where those are.
for list in nginx haproxy; do
  [ -e "$list-plain.cgroup" ] || continue
  sed 's/^server_pid_file = "\(.*\)\.pid"/control_group = "\1.cgroup"/' $list.toml >$list-cgroup.toml
done

echo "Servers run on core $core, each variant was checked to let in and refuse what it must."
echo "In $dir:"
echo "  $(echo ./*.toml | sed 's|\./||g')"
echo "Measure with: tollgate matrix --targets $dir/nginx.toml --server-cores $core"
echo "Enter or Ctrl-C ends this."
# In the background, where a signal need not wait for its end; there it has no input of its own.
exec 3<&0
timeout --foreground "$hold_s" head -n 1 <&3 >/dev/null &
waiter=$!
wait "$waiter" || :
