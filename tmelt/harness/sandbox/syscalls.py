"""System calls by what the sandbox does with them: name → (number on x86_64, number on aarch64).

None where an architecture never had the call; calls newer than 2019 have one number everywhere.
"""

from tmelt.harness.sandbox import kernel

Table = dict[str, tuple[int | None, int | None]]

# Reach into other processes, the kernel, namespaces, mounts; or watch other people's files being used.
FORBIDDEN: Table = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "open_by_handle_at": (304, 265),
    "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262),
    "setxattrat": (463, 463),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
}

# Talk to other processes. The buffers of socket pairs are also memory that no process' resident size shows.
CHANNELS: Table = {
    "connect": (42, 203),
    "accept": (43, 202),
    "accept4": (288, 242),
    "socketpair": (53, 199),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
}

SOCKET: Table = {"socket": (41, 198)}

# Memory that no process' resident size shows; CUDA needs it.
HIDDEN_MEMORY: Table = {"memfd_create": (319, 279), "memfd_secret": (447, 447)}

# Change files and processes past Landlock. Honest code makes such calls in passing: they do nothing and succeed.
PRETENDED: Table = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "setpriority": (141, 140),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    # A lock on a file that several phases may read (/usr/bin/env) is a bit that one sets and the other sees.
    "flock": (73, 32),
}

# Change times of files past Landlock. Path.touch asks for this first and takes success to mean that the file exists,
# so these must fail.
TIMES: Table = {
    "utimensat": (280, 88),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
}

# Take a process number as their first argument.
SIGNALS: Table = {
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
}
RESOURCE_LIMITS: Table = {"prlimit64": (302, 261)}

# Sets what a signal does; of SIGCHLD it would let children end without their CPU time being counted.
SIGNAL_ACTION: Table = {"rt_sigaction": (13, 134)}

CLONE: Table = {"clone": (56, 220)}
# Their arguments lie in memory, where a filter cannot look; the C library falls back to the older call.
CLONE3: Table = {"clone3": (435, 435)}
OPENAT2: Table = {"openat2": (437, 437)}
IOCTL: Table = {"ioctl": (16, 29)}
FILE_CONTROL: Table = {"fcntl": (72, 25)}
TRUNCATE: Table = {"truncate": (76, 45)}
OPEN: Table = {"open": (2, None)}
OPENAT: Table = {"openat": (257, 56)}


def numbers(table: Table) -> list[int]:
    """The numbers of these calls on this machine."""
    column = 0 if kernel.X86 else 1
    return [pair[column] for pair in table.values() if pair[column] is not None]
