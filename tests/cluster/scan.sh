# Every TCP port of ADDRESS that takes connections, a line each. No program of the image scans, and bash can connect.
for port in {1..65535}; do
  if { exec 3<>/dev/tcp/ADDRESS/$port; } 2>/dev/null; then
    echo $port
    exec 3>&-
  fi
done
