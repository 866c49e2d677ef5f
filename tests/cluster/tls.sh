# What a server offers, seen from another machine by OpenSSL: a line of words. The address, the port and the authority's certificate
# stand in for their names.
ca=$(mktemp)
cat >$ca <<'END'
CA
END
speak() { openssl s_client -connect ADDRESS:PORT -CAfile $ca -verify_ip ADDRESS "$@" </dev/null 2>&1; }
offers() { speak "$@" | grep --quiet 'Cipher is [A-Z]'; }

speak -tls1_3 | grep --quiet 'Verify return code: 0 (ok)' && printf 'trusted '
speak -tls1_3 -verify_ip 192.0.2.1 | grep --quiet 'Verify return code: 64 ' && printf 'own-address-only '
offers -tls1_3 && printf 'tls1.3 '
offers -tls1_2 && printf 'tls1.2 '
# The levels of OpenSSL's own would refuse these, whatever the server takes.
offers -tls1_1 -cipher DEFAULT@SECLEVEL=0 && printf 'tls1.1 '
offers -tls1_2 -cipher ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA@SECLEVEL=0 && printf 'without-aead '
offers -tls1_2 -cipher kRSA@SECLEVEL=0 && printf 'without-forward-secrecy '
rm $ca
