//! The origin of a URL: scheme, host and port, without user, password, path, query and fragment.

use std::net::IpAddr;

use super::host::{self, Name};
use super::{Found, ip, text};

/// The schemes of URLs that have a host, with their usual port. A closed list: the scheme is kept, and a
/// scheme of a customer's own can be a name.
const SCHEMES: [(&str, u16); 32] = [
    ("amqp", 5672),
    ("amqps", 5671),
    ("ftp", 21),
    ("ftps", 990),
    ("git", 9418),
    ("grpc", 0),
    ("grpcs", 0),
    ("http", 80),
    ("https", 443),
    ("imap", 143),
    ("imaps", 993),
    ("kafka", 9092),
    ("ldap", 389),
    ("ldaps", 636),
    ("mongodb", 27017),
    ("mqtt", 1883),
    ("mqtts", 8883),
    ("mysql", 3306),
    ("nfs", 2049),
    ("ntp", 123),
    ("oci", 0),
    ("postgresql", 5432),
    ("redis", 6379),
    ("rediss", 6379),
    ("rtsp", 554),
    ("sftp", 22),
    ("smb", 445),
    ("smtp", 25),
    ("ssh", 22),
    ("syslog", 514),
    ("ws", 80),
    ("wss", 443),
];

/// Writes the origin of `text`; `None` if it has none.
pub(super) fn origin(text: &str, out: &mut Vec<u8>) -> Option<Found<'static>> {
    let (scheme, rest) = text.split_once("://")?;
    let (scheme, usual_port) = SCHEMES.iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name))?;
    // Browsers take `\` for `/`, so nothing after one may pass for a host.
    let authority = rest.split(['/', '\\', '?', '#']).next()?;
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, host_port)| host_port);
    out.extend_from_slice(scheme.as_bytes());
    out.extend_from_slice(b"://");
    let port = if let Some(bracketed) = host_port.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        push_bracketed(address, out)?;
        port
    } else {
        let (name, port) = host_port.split_at_checked(host_port.find(':').unwrap_or(host_port.len()))?;
        push_name(name, out)?;
        port
    };
    push_port(port, *usual_port, out)?;
    Some(Found::Written)
}

/// Appends `:` and the number, unless there is none or it is the usual one.
fn push_port(text: &str, usual: u16, out: &mut Vec<u8>) -> Option<()> {
    let digits = if text.is_empty() { text } else { text.strip_prefix(':')? };
    if digits.is_empty() {
        return Some(());
    }
    // `parse` would take a sign.
    let port: u16 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    if port != usual {
        text::push_display(format_args!(":{port}"), out);
    }
    Some(())
}

fn push_bracketed(address: &str, out: &mut Vec<u8>) -> Option<()> {
    match ip::parse_v6(address)? {
        IpAddr::V4(address) => text::push_display(address, out),
        IpAddr::V6(address) => text::push_display(format_args!("[{address}]"), out),
    }
    Some(())
}

fn push_name(name: &str, out: &mut Vec<u8>) -> Option<()> {
    match host::name(name, out)? {
        Name::AsIs(name) => out.extend_from_slice(name),
        Name::Written => {}
        Name::Address(address) => text::push_display(address, out),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use crate::policy::Generalise::UrlOrigin;
    use crate::sanitize::canonical::checks::coarse;

    #[test]
    fn only_scheme_host_and_port_are_left() {
        coarse(
            UrlOrigin,
            &[
                ("https://example.com/a/b?c=d#e", Some("https://example.com")),
                ("HTTPS://Bob:secret@Example.COM:8443/x", Some("https://example.com:8443")),
                ("https://example.com:443/", Some("https://example.com")),
                ("http://example.com:0080", Some("http://example.com")),
                ("http://example.com:/", Some("http://example.com")),
                ("https://a@b@example.com", Some("https://example.com")),
                ("https://example.com\\@evil.example/", Some("https://example.com")),
                ("https://example.com?@evil.example", Some("https://example.com")),
                ("ldaps://b\u{fc}cher.example./dc=x", Some("ldaps://xn--bcher-kva.example")),
                ("https://[2001:DB8::1]:9443/ui", Some("https://[2001:db8::1]:9443")),
                ("https://[::ffff:10.1.2.3]/", Some("https://10.1.2.3")),
                ("http://10.1.2.3:8080/x", Some("http://10.1.2.3:8080")),
                (" https://example.com ", Some("https://example.com")),
                ("n/a", Some("placeholder")),
                ("https://", None),
                ("https:///path", None),
                ("example.com/path", None),
                ("file:///etc/passwd", None),
                ("bob-smith://example.com", None),
                ("mailto:bob@example.com", None),
                ("javascript://example.com", None),
                ("https://exa mple.com", None),
                ("https://example.com:x", None),
                ("https://example.com:70000", None),
                ("https://example.com:+80", None),
                ("https://[2001:db8::1", None),
                ("https://[2001:db8::1]x", None),
                ("https://2001:db8::1/", None),
                ("https://a%2eb/", None),
                ("https://256.1.1.1/", None),
            ],
        );
    }
}
