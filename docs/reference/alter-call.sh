# Signed calls from a shell, to try things:   . docs/reference/alter-call.sh
#
#   export ALTER_BASE_URL=https://connect.example.com ALTER_API_KEY=alter_rk_...
#   alter_call POST /sdk/grants/list '{"limit": 5}'
#
# Needs bash, dash, zsh or another POSIX shell, curl and openssl. The key shows in the process list for a moment: for a backend,
# sign in its own language (docs/reference/signing.md).
alter_call() {
  alter_ts=$(date +%s)
  alter_nonce=$(openssl rand -hex 16)
  alter_hash=$(printf %s "${3-}" | openssl dgst -sha256 -r | cut -d' ' -f1)
  alter_signing=$(printf alter-signing-v1 | openssl dgst -sha256 -mac HMAC -macopt "key:$ALTER_API_KEY" -r | cut -d' ' -f1)
  alter_signature=$(printf '%s\n%s\n%s\n%s\n%s\n' "$1" "$2" "$alter_ts" "$alter_nonce" "$alter_hash" |
    openssl dgst -sha256 -mac HMAC -macopt "hexkey:$alter_signing" -r | cut -d' ' -f1)
  alter_method=$1 alter_target=$2
  # zsh would pass `${3+--data-raw "$3"}` as one word.
  if [ $# -gt 2 ]; then set -- --data-raw "$3"; else set --; fi
  curl -sS -X "$alter_method" "$ALTER_BASE_URL$alter_target" -H "x-api-key: $ALTER_API_KEY" \
    -H 'Content-Type: application/json' -H "X-Alter-Timestamp: $alter_ts" -H "X-Alter-Nonce: $alter_nonce" \
    -H "X-Alter-Content-SHA256: $alter_hash" -H "X-Alter-Signature: $alter_signature" "$@"
  echo
}
