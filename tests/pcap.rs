//! What left the nodes' network, from a capture of the gateway: a file of libpcap ("pcap-savefile(5)") with Ethernet
//! frames, little-endian as QEMU writes it here.

/// The IPv4 packets that somebody on the network sent to an address outside of it, and those to the gateway itself
/// (.1) that are not a connection to a forwarded port. Neighbours' broadcasts and multicasts stay on the network.
pub fn egress(file: &[u8], network: [u8; 3], forwarded: &[u16]) -> Vec<String> {
    assert_eq!(file[..4], 0xa1b2_c3d4_u32.to_le_bytes(), "a capture of QEMU");
    let mut left = Vec::new();
    let mut rest = &file[24..];
    while rest.len() >= 16 {
        let length = usize::try_from(u32::from_le_bytes(rest[8..12].try_into().unwrap())).unwrap();
        // QEMU may be writing the last one.
        let Some(frame) = rest.get(16..16 + length) else { break };
        rest = &rest[16 + length..];
        if frame.len() < 34 || frame[12..14] != [0x08, 0x00] {
            continue;
        }
        let packet = &frame[14..];
        let (from, to) = (&packet[12..16], &packet[16..20]);
        let is_ours = from.starts_with(&network) && from[3] != 1;
        let is_broadcast = to[0] >= 224 || to == [network[0], network[1], network[2], 255];
        let transport = &packet[usize::from(packet[0] & 15) * 4..];
        let source_port = transport.get(..2).map_or(0, |port| u16::from_be_bytes([port[0], port[1]]));
        let to_gateway = to.starts_with(&network) && to[3] == 1;
        let answers = to_gateway && packet[9] == 6 && forwarded.contains(&source_port);
        // A frame for a neighbour may come here while the switch does not know it yet.
        let to_neighbour = to.starts_with(&network) && to[3] != 1;
        if is_ours && !is_broadcast && !answers && !to_neighbour {
            let dotted = |ip: &[u8]| ip.iter().map(u8::to_string).collect::<Vec<_>>().join(".");
            left.push(format!("{} to {}, protocol {}", dotted(from), dotted(to), packet[9]));
        }
    }
    left
}
