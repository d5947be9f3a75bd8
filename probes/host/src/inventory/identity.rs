//! What the machine is called.

use wattline_core::HostRoot;

/// The most characters of a name that are believed. Linux host names have 64 at most, boot ids 36.
const LONGEST: usize = 128;

/// The first line of a file without the blanks around it. `None` when there is nothing printable in it.
pub(super) fn line(root: &HostRoot, path: &str) -> Option<String> {
    let text = root.read(path).ok()?;
    let line = text.lines().next()?.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0');
    let honest = !line.is_empty() && line.len() <= LONGEST && !line.chars().any(char::is_control);
    honest.then(|| line.to_owned())
}

/// The host's name. The kernel shows each reader the name of the reader's own namespace, whoever's `/proc` is
/// mounted, so that a container asks the host's `/etc/hostname` first.
pub(super) fn host_name(root: &HostRoot) -> Option<String> {
    let of_kernel = || line(root, "proc/sys/kernel/hostname");
    if root.is_own() {
        return of_kernel();
    }
    line(root, "etc/hostname").filter(|name| !name.starts_with("localhost")).or_else(of_kernel)
}

/// A name that stays over reboots: systemd's machine id (machine-id(5)), else the board's uuid.
pub(super) fn machine_id(root: &HostRoot) -> Option<String> {
    ["etc/machine-id", "var/lib/dbus/machine-id"]
        .into_iter()
        .find_map(|path| line(root, path).filter(|id| is_machine_id(id)))
        .or_else(|| line(root, "sys/class/dmi/id/product_uuid").filter(|uuid| is_uuid(uuid)))
        .map(|id| id.to_ascii_lowercase())
}

/// Thirty-two hexadecimal digits, not all zero. An image may hold the word `uninitialized` instead.
fn is_machine_id(id: &str) -> bool {
    id.len() == 32 && is_hex_and_not_zero(id)
}

fn is_uuid(uuid: &str) -> bool {
    let hex = uuid.replace('-', "");
    hex.len() == 32 && is_hex_and_not_zero(&hex)
}

fn is_hex_and_not_zero(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit()) && text.bytes().any(|byte| byte != b'0')
}

/// The architecture of the kernel, which every container shares, in the words of `host.arch`.
pub(super) fn arch() -> String {
    let uname = rustix::system::uname();
    let machine = uname.machine().to_string_lossy();
    in_words_of_otel(&machine).to_owned()
}

fn in_words_of_otel(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "i386" | "i486" | "i586" | "i686" => "x86",
        "aarch64" => "arm64",
        "ppc64" | "ppc64le" => "ppc64",
        "ppc" => "ppc32",
        arm if arm.starts_with("arm") => "arm32",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, HostRoot) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let root = HostRoot::new(folder.path());
        (folder, root)
    }

    #[test]
    fn a_container_takes_the_hosts_name_from_a_file_because_the_kernel_would_tell_its_own() {
        let kernel = ("proc/sys/kernel/hostname", "pod-7d9f\n");
        let (_folder, root) = host(&[kernel, ("etc/hostname", "node-1\n")]);
        assert_eq!(host_name(&root).as_deref(), Some("node-1"));
        let (_folder, root) = host(&[kernel, ("etc/hostname", "localhost.localdomain\n")]);
        assert_eq!(host_name(&root).as_deref(), Some("pod-7d9f"));
        let (_folder, root) = host(&[]);
        assert_eq!(host_name(&root), None);
    }

    #[test]
    fn a_machine_id_is_taken_from_the_first_place_that_has_one() {
        let uuid = ("sys/class/dmi/id/product_uuid", "EC2F1E3C-0B7A-4A6E-9B1D-0123456789AB\n");
        let dbus = ("var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n");
        let fresh = ("etc/machine-id", "uninitialized\n");
        let (_folder, root) = host(&[uuid, dbus, fresh]);
        assert_eq!(machine_id(&root).as_deref(), Some("0123456789abcdef0123456789abcdef"));
        let (_folder, root) = host(&[uuid, fresh]);
        assert_eq!(machine_id(&root).as_deref(), Some("ec2f1e3c-0b7a-4a6e-9b1d-0123456789ab"));
        let (_folder, root) = host(&[("etc/machine-id", "00000000000000000000000000000000\n")]);
        assert_eq!(machine_id(&root), None);
    }

    #[test]
    fn what_is_not_a_name_is_not_taken_for_one() {
        let long = "x".repeat(1000);
        for text in ["", "\n", "a\u{1b}[31mb\n", &long] {
            let (_folder, root) = host(&[("etc/hostname", text)]);
            assert_eq!(line(&root, "etc/hostname"), None, "{text:?}");
        }
    }

    #[test]
    fn architectures_are_named_as_the_conventions_name_them() {
        let names = ["x86_64", "aarch64", "armv7l", "i686", "ppc64le", "s390x", "riscv64"];
        let words = ["amd64", "arm64", "arm32", "x86", "ppc64", "s390x", "riscv64"];
        assert_eq!(names.map(in_words_of_otel), words);
    }
}
