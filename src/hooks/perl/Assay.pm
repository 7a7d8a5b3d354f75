# PERL5OPT=-MAssay has this loaded at each start of perl. Where no attester runs, one open() fails and nothing is changed.
# docs/interpreters.md says what is covered and what not. With ASSAY_REQUIRED=1 code that can't be measured is not run.
package Assay;

our $VERSION = '0.1.0';

sub import {
    local ($!, $@);
    my $answer = 0;
    if (sysopen my $node, '/run/assay/measure', 1) {
        # The attester answers that this is no request (EINVAL). An ordinary file would take anything.
        binmode $node;
        $answer = $! + 0 unless defined syswrite $node, "\n";
    }
    return if $answer != 22 && !$ENV{ASSAY_REQUIRED};
    require Assay::Hook;
    Assay::Hook::start();
}

1;
