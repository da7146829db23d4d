//! Hostile files that containers can create for a scan of namespaces: each container has its own
//! `/run/netns` with arbitrary contents.

use std::{
    ffi::CString,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::{fs::symlink, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Instant,
};

use netviz::{
    discover::{Selection, Watch, scan},
    model::{Cluster, Door},
    sys::{netlink::Netlink, netns::NetNs},
};
use netviz_tests::{
    bpf::skip,
    cli::{
        fault_table::is_emulated,
        wait::{notify_limit, wait_until},
    },
    netns::{TestNetns, add_pair, add_pair_to, hidden},
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::stat::{Mode as Bits, SFlag, makedev, mknod},
    unistd::mkfifo,
};

/// A file that replaces a namespace is refused by its type and never opened: netviz does not block
/// on a FIFO, and does not open a device.
#[test]
fn only_namespaces_are_opened() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    add_traps(directory.path());
    fs::write(at("file"), "").unwrap();
    symlink(at("fifo"), at("link")).unwrap();
    symlink("/proc/self/ns/uts", at("uts")).unwrap();
    for name in ["fifo", "device", "file", "link", "uts", "."] {
        let path = at(name);
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(NetNs::open(&path)));
        let answer = receiver.recv_timeout(notify_limit() * 10).expect(name);
        let error = answer.expect_err(name);
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}: {error}");
    }
    symlink("/proc/self/ns/net", at("net")).unwrap();
    let own = NetNs::current().unwrap();
    assert_eq!(NetNs::open(&at("net")).unwrap().id(), own.id());
}

/// Creates a FIFO without a writer, and a device without a driver, for which open fails with
/// another error.
fn add_traps(directory: &Path) {
    mkfifo(&directory.join("fifo"), Bits::S_IRWXU).unwrap();
    let device = directory.join("device");
    mknod(&device, SFlag::S_IFCHR, Bits::S_IRWXU, makedev(511, 0)).unwrap();
}

/// A process with its own `/run/netns`, as in a container.
struct Container(Child);

impl Container {
    /// Starts one with this namespace mounted under a name.
    fn new(name: &str, netns: &NetNs) -> Self {
        let file = CString::new(format!("/run/netns/{name}")).unwrap();
        let source = CString::new(format!("/proc/self/fd/{}", netns.as_fd().as_raw_fd())).unwrap();
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let begin = move || {
            let (none, empty) = (None::<&str>, MsFlags::empty());
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(none, "/", none, private, none)?;
            mount(Some("none"), "/run", Some("tmpfs"), empty, none)?;
            fs::create_dir("/run/netns")?;
            mknod(&*file, SFlag::S_IFREG, Bits::S_IRWXU, 0)?;
            let source = Some(&*source);
            Ok(mount(source, &*file, none, MsFlags::MS_BIND, none)?)
        };
        // SAFETY: system calls, with strings that were allocated before.
        unsafe { command.pre_exec(begin) };
        Self(command.spawn().unwrap())
    }

    /// Returns the path of its `/run/netns` from outside.
    fn directory(&self) -> PathBuf {
        format!("/proc/{}/root/run/netns", self.0.id()).into()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Creates a pair with one end in a test namespace and the other, with the next index, in `far`.
fn connect(namespace: &TestNetns, far: &NetNs, index: u32) {
    add_pair_to(&mut namespace.netlink().unwrap(), index, far).unwrap();
}

/// Returns the other end of a pair that [`connect`] created.
fn far_end(cluster: &Cluster, index: u32) -> &Door {
    let mut doors = cluster.doors.iter();
    let door = doors.find(|door| door.id.ifindex == index + 1);
    door.unwrap_or_else(|| panic!("{cluster:#?}"))
}

/// Selects all doors of the named namespaces.
fn all_of(name: String) -> Selection {
    Selection::new(vec![name], true, &[], &[]).unwrap()
}

fn in_namespace(namespace: &TestNetns) -> Selection {
    all_of(namespace.name())
}

/// The container controls its `/run/netns`: its symlinks do not lead to files outside the
/// container, and files that are no namespaces are ignored.
#[test]
fn symlinks_do_not_leave_the_container() {
    if skip::without_programs(&["cat"]) {
        return;
    }
    let namespace = TestNetns::new().unwrap();
    let [mounted, secret] = [hidden().unwrap(), hidden().unwrap()];
    connect(&namespace, &mounted, 11);
    connect(&namespace, &secret, 21);
    let container = Container::new("mounted", &mounted);
    let directory = container.directory();
    let secret = format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        secret.as_fd().as_raw_fd()
    );
    assert!(NetNs::open(Path::new(&secret)).is_ok());
    symlink(&secret, directory.join("secret")).unwrap();
    // Inside the container they may point anywhere.
    symlink("/run/netns/mounted", directory.join("same")).unwrap();
    add_traps(&directory);
    let cluster = scan(&in_namespace(&namespace)).unwrap().cluster;
    let found = far_end(&cluster, 11);
    assert_eq!(found.pod.as_deref(), Some("mounted"), "{found:?}");
    assert_eq!(found.problem, None);
    let unreached = far_end(&cluster, 21);
    assert!(unreached.problem.is_some(), "{unreached:?}");
    // The file is not opened either when a user passes its name.
    let by_name = directory.join("secret").display().to_string();
    assert!(scan(&all_of(by_name)).is_err());
    let by_name = directory.join("same").display().to_string();
    assert!(scan(&all_of(by_name)).is_ok());
}

/// However many files a container creates, netviz finds the namespaces of others, and reports that
/// the scan was incomplete.
#[test]
fn scan_of_many_files_is_bounded() {
    if skip::without_programs(&["cat"]) {
        return;
    }
    let namespace = TestNetns::new().unwrap();
    let [one, other] = [hidden().unwrap(), hidden().unwrap()];
    connect(&namespace, &other, 11);
    let flooding = Container::new("one", &one);
    let _quiet = Container::new("other", &other);
    let note = |cluster: &Cluster| {
        let notes = cluster.notes.iter();
        let mut notes = notes.filter(|note| note.contains("/run/netns"));
        notes.next().cloned()
    };
    let own = format!("process {})", flooding.0.id());
    let before = note(&scan(&in_namespace(&namespace)).unwrap().cluster);
    assert!(!before.is_some_and(|note| note.contains(&own)));
    let files = if is_emulated() { 5_000 } else { 100_000 };
    for number in 0..files {
        File::create(flooding.directory().join(number.to_string())).unwrap();
    }
    let start = Instant::now();
    let cluster = scan(&in_namespace(&namespace)).unwrap().cluster;
    let took = start.elapsed();
    println!("{files} files: {took:?}");
    assert!(took < notify_limit() * 2, "{took:?}");
    let found = far_end(&cluster, 11);
    assert_eq!(found.problem, None);
    assert_eq!(found.pod.as_deref(), Some("other"));
    let note = note(&cluster).unwrap_or_else(|| panic!("{:?}", cluster.notes));
    assert!(note.contains(&own), "{note}");
}

/// The path of a namespace becomes a FIFO after it was found: the scan continues and ends.
#[test]
fn path_that_becomes_a_fifo_does_not_block() {
    if skip::without_programs(&["cat"]) {
        return;
    }
    let namespace = TestNetns::new().unwrap();
    let far = hidden().unwrap();
    connect(&namespace, &far, 11);
    let container = Container::new("z", &far);
    let directory = container.directory();
    symlink("z", directory.join("a")).unwrap();
    add_traps(&directory);
    let watch = Watch::start(in_namespace(&namespace)).unwrap();
    let news = watch.subscribe();
    assert_eq!(far_end(&news.borrow().cluster, 11).problem, None);
    fs::rename(directory.join("fifo"), directory.join("a")).unwrap();
    add_pair(&mut namespace.netlink().unwrap(), 31).unwrap();
    let mut netlink = Netlink::open_in(&far).unwrap();
    add_pair(&mut netlink, 41).unwrap();
    let seen = |index| {
        let doors = &news.borrow().cluster.doors;
        doors.iter().any(|door| door.id.ifindex == index)
    };
    let went_on = wait_until(notify_limit() * 10, || seen(31));
    // It ends when the scan has ended.
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        drop(watch);
        sender.send(())
    });
    let ended = receiver.recv_timeout(notify_limit() * 10).is_ok();
    assert!(went_on && ended, "went on: {went_on}, ended: {ended}");
}
