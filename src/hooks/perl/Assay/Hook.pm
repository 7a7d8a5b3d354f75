# Asks the attester to measure what this perl loads as code, before it acts. Assay.pm loads this where an attester runs.
#
# perl has opened the main script by then and has not read it; so its descriptor is measured. Modules come through a hook in @INC,
# which measures the descriptor and reads the text from it. Nothing is loaded here, because it would be measured late.
package Assay::Hook;

my $node     = '/run/assay/measure';
my $required = $ENV{ASSAY_REQUIRED};
my $marker   = 'assay:';    # before the name of a file that perl would not look for in @INC
my $tick_ns  = 11_000_000;  # the kernel stamps changes with a clock that ticks every 1 to 10 ms
my ($EINTR, $EINVAL, $ENODEV, $ESTALE, $ETXTBSY) = (4, 22, 19, 116, 26);    # Errno.pm would be one more to load
my $refused  = -1;
my (%calls, $given, $script, $script_state);

# System calls that perl has no function for: by the machine in the ELF header of this perl (memfd_create, statx, clock_gettime).
my %numbers = (
    62  => [319, 332, 228],    # x86-64
    3   => [356, 383, 265],    # x86, 32 bits
    183 => [279, 291, 113],    # arm64
    243 => [279, 291, 113],    # riscv64
    40  => [385, 397, 263],    # arm
    21  => [360, 383, 246],    # ppc64
    22  => [350, 379, 260],    # s390x
);

sub _calls {
    return if %calls;
    $calls{known} = 0;
    sysopen(my $self, '/proc/self/exe', 0) or return;
    binmode $self;
    sysread($self, my $elf, 20) == 20 or return;
    my $numbers = $numbers{ unpack(ord(substr $elf, 5, 1) == 1 ? 'v' : 'n', substr $elf, 18, 2) } or return;
    return if ord(substr $elf, 4, 1) == 1 && ref $numbers && $numbers == $numbers{62};    # x32 has numbers of its own
    @calls{qw(memfd_create statx clock_gettime)} = @$numbers;
    $calls{known} = 1;
}

# Asks for one line; returns 0, the error's number, or $refused if the owner's policy refuses the content. The node is opened each time: a program may close any number in between, or
# become another user.
sub _ask {
    my ($request) = @_;
    sysopen(my $fh, $node, 2) or return $! + 0;
    binmode $fh;
    until (defined syswrite($fh, "$request\n")) {
        return $! + 0 if $! != $EINTR;
    }
    my $verdict = '';
    return sysread($fh, $verdict, 16) && $verdict eq "refused\n" ? $refused : 0;
}

sub _refuse {
    my ($what, $error) = @_;
    die "assay: the owner's policy refuses $what: it is not in the manifest\n" if $error == $refused;
    return unless $required;
    local $! = $error;
    die "assay: $what can't be measured, and ASSAY_REQUIRED is set: $!\n";
}

# What tells whether a file changed. The stamps of perl's own stat() are whole seconds.
sub _state {
    my ($fh) = @_;
    _calls();
    if ($calls{known}) {
        my $st = "\0" x 256;
        if (syscall($calls{statx}, fileno $fh, my $none = '', 0x1000, 0x7ff, $st) == 0) {
            return substr($st, 32, 16) . substr($st, 96, 32) . substr($st, 136, 8);
        }
    }
    return join ' ', (stat $fh)[0, 1, 7, 9, 10];
}

# Was it changed in this very moment, so that its stamps would not tell of the next change?
sub _fresh {
    my ($state) = @_;
    return 1 unless $calls{known} && length $state == 56;
    my ($low, $high, $ns) = unpack 'L3', substr $state, 16, 12;
    my $seconds = unpack('S', "\1\0") == 1 ? $low : $high;
    return 0 if time - $seconds > 1;
    my $now = "\0" x 16;
    return 1 if syscall($calls{clock_gettime}, 0, $now) != 0;
    my ($s, $n) = unpack 'l!2', $now;
    return ($s - $seconds) * 1_000_000_000 + $n - $ns < $tick_ns;
}

# A sealed memfd with these bytes, at its beginning; or the error's number.
sub _sealed {
    my ($text, $what) = @_;
    _calls();
    return $ENODEV unless $calls{known};
    my $fd = syscall($calls{memfd_create}, my $name = $what, 3);    # close on exec, may be sealed
    return $! + 0 if $fd < 0;
    open(my $copy, '+<&=', $fd) or return $! + 0;
    binmode $copy;
    for (my $at = 0; $at < length $text;) {
        my $n = syswrite($copy, $text, length($text) - $at, $at);
        return $! + 0 unless defined $n;
        $at += $n;
    }
    sysseek $copy, 0, 0;
    fcntl($copy, 1033, 0xf) or return $! + 0;                       # F_ADD_SEALS: nothing of it can change any more
    return $copy;
}

sub _measure_text {
    my ($text, $what) = @_;
    my $copy  = _sealed($text, $what);
    my $error = ref $copy ? _ask('buffer:' . fileno($copy) . ":$what") : $copy;
    _refuse($what, $error) if $error;
    return $copy;
}

# Opens a file of code and has it measured. Returns what a hook of @INC returns: the text up to the line that may end it, and the
# descriptor for the rest, which is DATA.
sub _code {
    my ($path) = @_;
    local $!;
    open(my $fh, '<:raw', $path) or return;
    return if -d $fh;
    if (!-f _) {
        _refuse($path, $EINVAL);
        return $fh;
    }
    my $before = _state($fh);
    my $error  = _ask('fd:' . fileno $fh);
    my $text   = '';
    1 while read $fh, $text, 65536, length $text;
    if ($error ? $error == $ETXTBSY : _fresh($before) || $before ne _state($fh)) {
        _measure_text($text, 'perl-copy');    # what is in memory can't change
    }
    elsif ($error) {
        _refuse($path, $error);
    }
    my $end = length $text;
    for my $sign ('__END__', '__DATA__', "\x04", "\x1a") {
        my $at = index $text, $sign;
        $end = rindex($text, "\n", $at) + 1 if $at >= 0 && $at < $end;
    }
    seek $fh, $end, 0;
    return $fh unless $end;
    substr($text, $end) = '';
    return (\$text, $fh);
}

my $hook;
$hook = sub {
    my (undef, $name) = @_;
    if ($given && $name eq $marker . $given->[0]) {
        my ($path, @code) = @$given;
        undef $given;
        $INC{$name} = $INC{$path} = $path;
        return @code;
    }
    for my $dir (@INC) {
        if (ref $dir) {
            next if ref $dir eq 'CODE' && $dir == $hook;
            my @code = _foreign($dir, $name) or next;
            $INC{$name} = $dir unless exists $INC{$name};
            return @code;
        }
        my $path = "$dir/$name";
        for my $file ($name =~ /\.pm\z/ ? ("${path}c", $path) : $path) {
            my @code = _code($file) or next;
            $INC{$name} = $path;
            return @code;
        }
    }
    return;
};

# Another hook of @INC: what it has as text or file is measured, what it makes line by line can't be.
sub _foreign {
    my ($dir, $name) = @_;
    my @code
        = ref $dir eq 'CODE'  ? $dir->($dir, $name)
        : ref $dir eq 'ARRAY' ? $dir->[0]->($dir, $name)
        :                       $dir->INC($name);
    return unless grep { defined } @code;
    my $known = 0;
    for my $part (@code) {
        if (ref $part eq 'SCALAR') {
            _measure_text($$part, 'perl-inc');
            $known = 1;
        }
        elsif ((ref $part eq 'GLOB' || ref \$part eq 'GLOB' || UNIVERSAL::isa($part, 'IO::Handle')) && defined fileno $part) {
            my $error = fileno($part) < 0 ? $EINVAL : _ask('fd:' . fileno $part);
            _refuse($name, $error) if $error;
            $known = 1;
        }
    }
    _refuse($name, $EINVAL) unless $known;
    return @code;
}

# `use lib` and the like put folders before the hook; and files with a path of their own are not looked for in @INC at all.
sub _ready {
    my ($name) = @_;
    unshift @INC, $hook unless ref $INC[0] eq 'CODE' && $INC[0] == $hook;
    return $name unless $name =~ m{\A\.{0,2}/};
    my @code = _code($name) or return $name;
    $given = [$name, @code];
    return $marker . $name;
}

# Calls CORE::require so that its messages name the place of the caller.
sub _located {
    my ($file, $line) = @_;
    local $@;
    $file =~ s/["\n]/?/g;
    return eval qq{#line $line "$file"\nsub { CORE::require(\$_[0]) }};
}

sub _require {
    return CORE::require($_[0]) if exists $INC{ $_[0] };
    my (undef, $file, $line) = caller;
    if (ref \$_[0] eq 'VSTRING' || $_[0] =~ /\A[\d._]*\z/) {
        local ($@, $SIG{__DIE__});
        return 1 if eval { CORE::require($_[0]) };
    }
    else {
        my $name = _ready($_[0]);
        if ($name ne $_[0]) {
            my $guard = bless [$name, $_[0]], 'Assay::Hook::Name';
            return _located($file, $line)->($name);
        }
    }
    my $require = _located($file, $line);
    goto &$require;
}

sub _do {
    my ($path) = @_;
    my $name = _ready($path);
    my $guard = $name eq $path ? undef : bless [$name, $path], 'Assay::Hook::Name';
    return CORE::do($name);
}

# The name in %INC that perl set or removed for the marked name.
sub Assay::Hook::Name::DESTROY {
    my ($name, $path) = @{ $_[0] };
    if   (exists $INC{$name}) { $INC{$path} = delete $INC{$name} }
    else                      { delete $INC{$path} }
}

# Extension modules: the attester's engine sees what is mapped; here it is only asked for earlier.
sub _dynamic {
    return unless defined &DynaLoader::boot_DynaLoader;
    DynaLoader::boot_DynaLoader('DynaLoader') unless defined &DynaLoader::dl_error;
    my $load = \&DynaLoader::dl_load_file;
    local $^W = 0;
    *DynaLoader::dl_load_file = sub {
        my ($path) = @_;
        if (open my $fh, '<:raw', $path) {
            my $error = _ask('fd:' . fileno $fh);
            _refuse($path, $error) if $error;
        }
        goto &$load;
    };
}

# The texts after -e, as perl puts them together; or the whole command line, if it is not understood.
sub _words {
    open(my $fh, '<:raw', '/proc/self/cmdline') or return;
    my $line = do { local $/; <$fh> };
    my (undef, @words) = split /\0/, $line, -1;
    my @texts;
    while (@words && $words[0] =~ /\A-./s) {
        my $word = substr shift @words, 1;
        last if $word eq '-';
        while (length $word) {
            next if $word =~ s/\A(?:[acfghnpsStTuUvwWX]|0x[0-9a-fA-F]+|0[0-7]*|l[0-7]*|[CD][0-9a-zA-Z]*|[- ])//;
            if ($word =~ s/\A[eE]//) { push @texts, length $word ? $word : shift @words; last }
            if ($word =~ s/\AI//)    { shift @words unless length $word; last }
            last if $word =~ /\A[dFimMVx]/;
            return $line;
        }
    }
    return @texts ? join "\n", @texts : $line;
}

# Puts a copy in the place of a descriptor that nothing was read from yet.
sub _replace {
    my ($fd, $copy) = @_;
    local $^F = $fd if $fd > $^F;
    if ($fd == 0) { return open STDIN, '<&', $copy }
    open(my $fh, '<&=', $fd) or return;
    open($fh, '<&', $copy) && fcntl $fh, 2, 1;    # close on exec
}

# A script that comes through a pipe. perl reads it to the end, or to a line with __END__: what follows belongs to the program.
sub _piped {
    my ($fd) = @_;
    local $?;
    my $probe = _sealed('', 'perl-stdin');    # before anything is read: it may fail
    return _refuse('perl-stdin', $probe) unless ref $probe;
    open(my $pipe, '<&', $fd) or return _refuse('perl-stdin', $! + 0);
    binmode $pipe;
    my ($text, $n, $ends) = ('');
    until ($ends = $text =~ /^__(?:END|DATA)__\s/m ? $+[0] : 0) {
        $n = sysread $pipe, $text, 65536, length $text;
        last if defined $n ? $n == 0 : $! != $EINTR;
    }
    my $copy = _measure_text($ends ? substr($text, 0, $ends) : $text, 'perl-stdin');
    if ($ends) {
        pipe(my $out, my $in) or return;
        my $child = fork;
        if (defined $child && $child == 0) {    # a grandchild, so that the program has no child that it does not know
            kill KILL => $$ if fork;
            close $out;
            syswrite $in, $text;
            open(STDIN, '<&', $pipe) && open(STDOUT, '>&', $in) && exec '/bin/cat';
            kill KILL => $$;
        }
        waitpid $child, 0;
        $copy = $out;
    }
    else {
        $copy = _sealed($text, 'perl-stdin') unless ref $copy;
    }
    _replace($fd, $copy);
}

# The main script: of all descriptors only those that perl itself opened are closed on exec.
sub _main {
    if ($0 eq '-e') {
        my $words = _words();
        _measure_text($words, 'perl-e') if defined $words;
        return;
    }
    my @own;
    if ($0 eq '-') {
        return if -t STDIN;
        @own = (0);
    }
    elsif (opendir my $dir, '/proc/self/fd') {
        for my $fd (sort { $a <=> $b } grep { /\A\d+\z/ && $_ > 2 && $_ != fileno $dir } readdir $dir) {
            open(my $info, '<:raw', "/proc/self/fdinfo/$fd") or next;
            my ($flags) = join('', <$info>) =~ /^flags:\s*([0-7]+)/m;
            push @own, $fd if oct($flags) & 02000000;
        }
    }
    for my $fd (@own) {
        open(my $fh, '<&', $fd) or next;
        if (-f $fh) {
            my $state = _state($fh);
            my $error = _ask('fd:' . fileno $fh);
            _refuse($0, $error) if $error && $error != $ETXTBSY;
            ($script, $script_state) = ($fh, $error || _fresh($state) ? '' : $state);
        }
        elsif (-p _ || -S _) {
            _piped($fd);
        }
    }
}

# perl has read the script, and has not run it: blocks of BEGIN apart.
INIT {
    if ($script && $script_state ne _state($script)) {
        my $error = _ask('fd:' . fileno $script);
        _refuse($0, $error) if $error;
        _refuse($0, $ESTALE) if length $script_state;
    }
    undef $script;
}

sub start {
    return if ref $INC[0] eq 'CODE' && $INC[0] == $hook;
    for my $path (grep { defined && !ref } values %INC) {    # loaded before this: measured late, but measured
        open(my $fh, '<:raw', $path) or next;
        my $error = _ask('fd:' . fileno $fh);
        _refuse($path, $error) if $error;
    }
    _dynamic();
    unshift @INC, $hook;
    *{'CORE::GLOBAL::require'} = \&_require;    # named at run time: -w takes a name that is used once for an error
    *{'CORE::GLOBAL::do'}      = \&_do;
    _ask('hook:perl');    # an attester of a former version does not know this request
    _main();
}

1;
