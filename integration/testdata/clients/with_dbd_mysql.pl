# Prints what a DBD::mysql program sees; the same directly and through the proxy.
use strict;
use warnings;
use DBI;
use Digest::SHA qw(sha256_hex);

my ($host, $port, $user, $password, $schema, $table) = @ARGV;

for my $server_prepare (0, 1) {
    my $dbh = DBI->connect(
        "DBI:mysql:database=$schema;host=$host;port=$port;mysql_server_prepare=$server_prepare;max_allowed_packet=67108864",
        $user, $password, { RaiseError => 0, PrintError => 0, AutoCommit => 1 }) or die "connect: $DBI::errstr\n";
    print "server_prepare $server_prepare\n";

    my $show = sub {
        my ($sql, @args) = @_;
        my $sth = $dbh->prepare($sql);
        my $rv = $sth && $sth->execute(@args);
        print substr($sql, 0, 60), " -> ";
        if (!defined $rv) { print "error ", $dbh->err, " ", $dbh->state, " ", $dbh->errstr, "\n"; return }
        print "$rv ";
        if ($sth->{NUM_OF_FIELDS}) {
            print join(",", @{ $sth->{NAME} }), " types ", join(",", @{ $sth->{mysql_type} }), " ";
            while (my $row = $sth->fetchrow_arrayref) {
                print "(", join(",", map { defined $_ ? $_ : "NULL" } @$row), ")";
            }
        }
        print " id ", $sth->{mysql_insertid} || 0, "\n";
    };

    $show->("DELETE FROM $table WHERE a < 1000");
    $show->("SELECT 1, 'two', 3.50, NULL, DATE '2024-02-29'");
    $show->("SELECT ?, ?", 7, "seven");
    $show->("SELECT no_such_column");
    $show->("SELECT * FROM no_such_table");
    $show->("INSERT INTO $table (a, b) VALUES (?, ?)", 10, "ten");
    $show->("INSERT INTO $table (a, b) VALUES (?, ?)", 10, "ten");
    $dbh->begin_work;
    $show->("INSERT INTO $table (a, b) VALUES (?, ?)", 11, "eleven");
    $show->("SELECT COUNT(*) FROM $table WHERE a = 11");
    $dbh->rollback;
    $show->("SELECT COUNT(*) FROM $table WHERE a = 11 FOR UPDATE");
    $dbh->begin_work;
    $show->("INSERT INTO $table (a, b) VALUES (?, ?)", 12, "twelve");
    $dbh->commit;
    $show->("SELECT a, b FROM $table WHERE a < 1000 ORDER BY a FOR UPDATE");

    for my $size (17 << 20, 40 << 20) {
        my $blob = substr(join("", map { chr } 0 .. 250) x (int($size / 251) + 1), 0, $size);
        my $sth = $dbh->prepare("REPLACE INTO $table (a, c) VALUES (?, ?)") or die $dbh->errstr;
        $sth->bind_param(1, $size);
        $sth->bind_param(2, $blob, DBI::SQL_BLOB());
        print "blob $size ", ($sth->execute ? "stored" : "error " . $sth->errstr), "\n";
        my $row = $dbh->selectrow_arrayref("SELECT SHA2(c, 256), LENGTH(c), c FROM $table WHERE a = $size FOR UPDATE");
        print "blob $size ", $row ? "$row->[0] $row->[1] " . sha256_hex($row->[2]) : "error " . $dbh->errstr, "\n";
    }
    print "ping ", $dbh->ping, "\n";
    $dbh->disconnect;
}
