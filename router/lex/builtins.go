package lex

// The word lists below were measured: every word that information_schema.keywords,
// information_schema.sql_functions, the help tables and the server binaries of
// MariaDB 10.11.19 and MySQL 9.7.4 contain was called with zero to three
// arguments. A word whose call answers 1305 or 1630 (no such function) may name
// somebody's stored function and is in no list; TestBuiltins repeats the
// measurement. Functions younger than MySQL 8.0 and MariaDB 10.11 are left out,
// because an older server would call a stored function of that name, and so are
// the servers' internal ones. md5, sha and sha1 are built into MySQL 8 and a
// component of the server since 9.6. Manual pages:
// https://dev.mysql.com/doc/refman/8.4/en/built-in-function-reference.html
// https://dev.mysql.com/doc/refman/8.4/en/keywords.html
// https://mariadb.com/docs/server/reference/sql-functions
// https://mariadb.com/docs/server/reference/sql-structure/sql-language-structure/reserved-words

// functionsBoth are built into both flavours.
const functionsBoth = `
abs acos adddate addtime aes_decrypt aes_encrypt all ascii asin atan atan2 avg benchmark bin
binary bit_and bit_count bit_length bit_or bit_xor cast ceil ceiling char char_length character
character_length charset coalesce coercibility collation compress concat concat_ws connection_id
conv convert convert_tz cos cot count crc32 cume_dist curdate current_date current_role
current_time current_timestamp current_user curtime database date date_add date_format date_sub
datediff day dayname dayofmonth dayofweek dayofyear degrees dense_rank distinct distinctrow elt
exp export_set extract extractvalue field find_in_set first_value floor format found_rows
from_base64 from_days from_unixtime get_format get_lock greatest group_concat hex high_priority
hour if ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa instr interval is_free_lock is_ipv4
is_ipv4_compat is_ipv4_mapped is_ipv6 is_used_lock isnull json_array json_array_append
json_array_insert json_arrayagg json_contains json_contains_path json_depth json_extract
json_insert json_keys json_length json_merge json_merge_patch json_merge_preserve json_object
json_objectagg json_overlaps json_pretty json_quote json_remove json_replace json_search
json_set json_type json_unquote json_valid json_value lag last_day last_insert_id lcase lead
least left length ln load_file localtime localtimestamp locate log log10 log2 lower lpad ltrim
make_set makedate maketime master_pos_wait max mbrcontains mbrdisjoint mbrequals mbrintersects
mbroverlaps mbrtouches mbrwithin md5 microsecond mid min minute mod month monthname name_const
not now nth_value ntile nullif oct octet_length ord percent_rank period_add period_diff pi
position pow power quarter quote radians rand random_bytes rank regexp_instr regexp_replace
regexp_substr release_all_locks release_lock repeat replace reverse right round row row_count
row_number rpad rtrim schema sec_to_time second session_user sha sha1 sha2 sign sin sleep
soundex space sql_big_result sql_buffer_result sql_calc_found_rows sql_no_cache sql_small_result
sql_tsi_day sql_tsi_hour sql_tsi_minute sql_tsi_month sql_tsi_second sql_tsi_year sqrt st_area
st_asbinary st_asgeojson st_astext st_aswkb st_aswkt st_buffer st_centroid st_contains
st_convexhull st_crosses st_difference st_dimension st_disjoint st_distance st_distance_sphere
st_endpoint st_envelope st_equals st_exteriorring st_geomcollfromtext st_geomcollfromwkb
st_geometrycollectionfromtext st_geometrycollectionfromwkb st_geometryfromtext
st_geometryfromwkb st_geometryn st_geometrytype st_geomfromgeojson st_geomfromtext
st_geomfromwkb st_interiorringn st_intersection st_intersects st_isclosed st_isempty st_issimple
st_length st_linefromtext st_linefromwkb st_linestringfromtext st_linestringfromwkb
st_mlinefromtext st_mlinefromwkb st_mpointfromtext st_mpointfromwkb st_mpolyfromtext
st_mpolyfromwkb st_multilinestringfromtext st_multilinestringfromwkb st_multipointfromtext
st_multipointfromwkb st_multipolygonfromtext st_multipolygonfromwkb st_numgeometries
st_numinteriorrings st_numpoints st_overlaps st_pointfromtext st_pointfromwkb st_pointn
st_polyfromtext st_polyfromwkb st_polygonfromtext st_polygonfromwkb st_srid st_startpoint
st_symdifference st_touches st_union st_within st_x st_y std stddev stddev_pop stddev_samp
str_to_date straight_join strcmp subdate substr substring substring_index subtime sum sysdate
system_user tan time time_format time_to_sec timediff timestamp timestampadd timestampdiff
to_base64 to_days to_seconds trim truncate ucase uncompress uncompressed_length unhex
unix_timestamp updatexml upper user utc_date utc_time utc_timestamp uuid uuid_short values
var_pop var_samp variance version week weekday weekofyear weight_string year yearweek
`

// functionsMySQL are built into MySQL alone.
const functionsMySQL = `
any_value bin_to_uuid format_bytes format_pico_time geomcollection geometrycollection grouping
gtid_subset gtid_subtract icu_version is_uuid json_schema_valid json_schema_validation_report
json_storage_free json_storage_size json_table linestring mbrcoveredby mbrcovers multilinestring
multipoint multipolygon point polygon ps_current_thread_id ps_thread_id regexp_like
source_pos_wait sql_tsi_quarter sql_tsi_week st_collect st_frechetdistance st_geohash
st_geomcollfromtxt st_hausdorffdistance st_isvalid st_latfromgeohash st_latitude
st_lineinterpolatepoint st_lineinterpolatepoints st_longfromgeohash st_longitude st_makeenvelope
st_numinteriorring st_pointatdistance st_pointfromgeohash st_simplify st_swapxy st_transform
st_validate statement_digest statement_digest_text uuid_to_bin validate_password_strength
wait_for_executed_gtid_set
`

// functionsMariaDB are built into MariaDB alone.
const functionsMariaDB = `
add_months area asbinary astext aswkb aswkt binlog_gtid_pos boundary buffer centroid column_add
column_check column_create column_delete column_exists column_get column_json column_list
contains convexhull crc32c crosses decode decode_histogram des_decrypt des_encrypt dimension
disjoint encode encrypt endpoint envelope equals exteriorring geomcollfromtext geomcollfromwkb
geometrycollectionfromtext geometrycollectionfromwkb geometryfromtext geometryfromwkb geometryn
geometrytype geomfromtext geomfromwkb glength interiorringn intersects isclosed isempty isring
issimple json_compact json_detailed json_equals json_exists json_loose json_normalize json_query
last_value lastval lengthb linefromtext linefromwkb linestringfromtext linestringfromwkb
master_gtid_wait mbrequal median mlinefromtext mlinefromwkb mpointfromtext mpointfromwkb
mpolyfromtext mpolyfromwkb multilinestringfromtext multilinestringfromwkb multipointfromtext
multipointfromwkb multipolygonfromtext multipolygonfromwkb natural_sort_key nextval
numgeometries numinteriorrings numpoints nvl nvl2 old_password overlaps password percentile_cont
percentile_disc pointfromtext pointfromwkb pointn pointonsurface polyfromtext polyfromwkb
polygonfromtext polygonfromwkb rownum setval sformat sql_cache srid st_boundary st_isring
st_pointonsurface st_relate startpoint touches unique within x y
`

// tightMySQL are functions of MySQL that stop being built in when a blank follows
// the name, unless sql_mode has IGNORE_SPACE.
const tightMySQL = `
adddate bit_and bit_or bit_xor cast count curdate curtime date_add date_sub extract group_concat
json_arrayagg json_objectagg max mid min now position session_user st_collect std stddev
stddev_pop stddev_samp subdate substr substring sum sysdate system_user trim var_pop var_samp
variance
`

// tightMariaDB are the same for MariaDB.
const tightMariaDB = `
adddate bit_and bit_or bit_xor cast count cume_dist curdate curtime date_add date_sub dense_rank
extract first_value group_concat json_arrayagg json_objectagg lag lead max median mid min now
nth_value ntile percent_rank percentile_cont percentile_disc position rank session_user std
stddev stddev_pop stddev_samp subdate substr substring sum system_user trim var_pop var_samp
variance
`

// reservedBoth are words that cannot name a function in either flavour.
const reservedBoth = `
accessible add alter analyze and any as asc asensitive before between bigint blob both by call
cascade case change check collate column condition constraint continue create cross cursor
databases datetime day_hour day_microsecond day_minute day_second dec decimal declare default
delayed delete desc describe deterministic div double drop dual each else elseif enclosed end
escaped except exists exit explain false fetch float float4 float8 for force foreign from
fulltext grant group having hour_microsecond hour_minute hour_second ignore in index infile
inner inout insensitive insert int int1 int2 int3 int4 int8 integer intersect into is iterate
join key keys kill leading leave like limit linear lines load lock long longblob longtext loop
low_priority match maxvalue mediumblob mediumint mediumtext middleint minute_microsecond
minute_second modifies natural nchar no_write_to_binlog null numeric offset on optimize
optionally or order out outer outfile over partition precision primary procedure purge range
read read_write reads real recursive references regexp release rename require resignal restrict
return revoke rlike rows schemas second_microsecond select sensitive separator set show signal
smallint some spatial specific sql sqlexception sqlstate sqlwarning ssl starting table
terminated then tinyblob tinyint tinytext to trailing trigger true undo union unlock unsigned
update usage use using value varbinary varchar varcharacter varying when where while with write
xor year_month zerofill
`

// reservedMySQL are reserved in MySQL alone.
const reservedMySQL = `
against cube empty function generated get groups io_after_gtids io_before_gtids last_value
lateral of optimizer_costs option stored system unique virtual window
`

// reservedMariaDB are reserved in MariaDB alone.
const reservedMariaDB = `
delete_domain_id do_domain_ids ignore_domain_ids master_demote_to_replica master_demote_to_slave
master_ssl_verify_server_cert page_checksum portion ref_system_id returning stats_auto_recalc
stats_persistent stats_sample_pages
`

// functionFlags are the built-in functions that are more than a computation
// on their arguments. Those without flags may run on a replica, SLEEP and
// BENCHMARK included: they only take time.
var functionFlags = []struct {
	flags Flags
	names string
}{
	{FlagUserLock | FlagGetLock, "get_lock"},
	{FlagUserLock, "release_lock release_all_locks is_free_lock is_used_lock"},
	{FlagLastInsertID, "last_insert_id"},
	{FlagLastResult, "found_rows row_count"},
	{FlagConnectionID, "connection_id ps_current_thread_id ps_thread_id"},
	{FlagSequence, "nextval setval lastval"},
	// Which server answers shows in the result.
	{FlagServerVarRead, "version icu_version"},
	// They read a file of the server, wait for its replication or look into
	// its binary log.
	{FlagSideEffect, "load_file master_pos_wait source_pos_wait " +
		"wait_for_executed_gtid_set master_gtid_wait binlog_gtid_pos"},
}

// variableFlags are the system variables whose values are more than a setting
// of the session.
var variableFlags = []struct {
	flags Flags
	names string
}{
	{FlagLastInsertID, "last_insert_id identity insert_id"},
	{FlagLastResult, "warning_count error_count"},
	{FlagConnectionID, "pseudo_thread_id"},
	{FlagServerVarRead, "hostname server_id server_uuid read_only super_read_only version port socket " +
		"datadir basedir log_bin report_host report_port bind_address offline_mode in_transaction " +
		"gtid_executed gtid_purged gtid_mode gtid_owned gtid_next gtid_current_pos gtid_slave_pos " +
		"gtid_binlog_pos gtid_binlog_state gtid_domain_id gtid_seq_no last_gtid"},
}
