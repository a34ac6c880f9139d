#!/usr/bin/perl
# Runs a command and counts the fsync and fdatasync calls of all its threads and children that succeed:
#     perl fsync-count.pl OUTPUT COMMAND [ARGUMENT…]
# A tracer without a package to install: perl-base is part of every Debian, and its syscall() reaches ptrace(2).
use strict;
use warnings;

my %numbers = (    # architecture => [ptrace, wait4, fsync, fdatasync]
    x86_64  => [ 101, 61,  74, 75 ],
    aarch64 => [ 117, 260, 82, 83 ],
);
chomp( my $machine = `uname -m` );
my ( $ptrace, $wait4, $fsync, $fdatasync ) = @{ $numbers{$machine} or die "fsync-count: not written for $machine\n" };

use constant {
    TRACEME          => 0,
    SYSCALL          => 24,
    SETOPTIONS       => 0x4200,
    GET_SYSCALL_INFO => 0x420e,
    SYSCALL_ENTRY    => 1,
    SYSCALL_EXIT     => 2,
    # TRACESYSGOOD, and follow fork, vfork, clone and exec; EXITKILL: the traced do not outlive the tracer.
    OPTIONS => 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x100000,
    WALL    => 0x40000000,
    SIGTRAP => 5,
    SIGSTOP => 19,
};

my ( $output, @command ) = @ARGV;
my $child = fork() // die "fork: $!";
if ( $child == 0 ) {
    syscall( $ptrace, TRACEME, 0, 0, 0 );
    kill 'STOP', $$;
    exec { $command[0] } @command;
    die "exec $command[0]: $!";
}

my ( %known, %inside, $exit_code );
my $count = 0;
for ( ; ; ) {
    my $status = pack 'i', 0;
    my $pid = syscall( $wait4, -1, $status, WALL, 0 );
    last if $pid < 0;
    my $word = unpack 'i', $status;
    if ( ( $word & 0xff ) != 0x7f ) {    # ended
        $exit_code = $word & 0x7f ? 128 + ( $word & 0x7f ) : $word >> 8 if $pid == $child;
        delete $inside{$pid};
        next;
    }
    my $signal = ( $word >> 8 ) & 0xff;
    my $deliver = 0;
    if ( !$known{$pid} ) {
        # The stop with which a traced thread begins.
        $known{$pid} = 1;
        syscall( $ptrace, SETOPTIONS, $pid, 0, OPTIONS ) if $pid == $child;
        $deliver = $signal if $signal != SIGSTOP && $signal != SIGTRAP && $signal != ( SIGTRAP | 0x80 );
    }
    elsif ( $signal == ( SIGTRAP | 0x80 ) ) {
        my $info = "\0" x 88;
        syscall( $ptrace, GET_SYSCALL_INFO, $pid, 88, $info );
        my $operation = unpack 'C', $info;
        if ( $operation == SYSCALL_ENTRY ) {
            my $number = unpack 'Q', substr( $info, 24, 8 );
            $inside{$pid} = $number == $fsync || $number == $fdatasync;
        }
        elsif ( $operation == SYSCALL_EXIT && delete $inside{$pid} ) {
            my $result = unpack 'q', substr( $info, 24, 8 );
            $count += 1 if $result == 0;
        }
    }
    elsif ( $signal != SIGTRAP ) {
        $deliver = $signal;
    }
    syscall( $ptrace, SYSCALL, $pid, 0, $deliver );
}
open my $file, '>', $output or die "$output: $!";
print $file "$count\n";
close $file;
exit( $exit_code // 1 );
