// Package compress speaks the frames that a connection is made of once both
// sides have agreed on compression: zlib (CLIENT_COMPRESS) or zstd
// (CLIENT_ZSTD_COMPRESSION_ALGORITHM), for either side.
//
// A Conn stands between wire.Conn and the socket (or TLS). What goes through
// it is the stream of packets, cut into frames of 7 bytes of header and their
// contents: 3 bytes length, 1 byte sequence id, 3 bytes length of the contents
// before compression, which is 0 if they are stored as they are (protocol doc
// "Compression"). Frames and packets do not care about each other's borders: a
// packet may lie in several frames, a frame may hold several packets, and a
// packet's header may be split. The one exception is that a command begins a
// frame; see Conn.StartCommand.
//
// Measured on MySQL 9.7 and MariaDB 10.11 (live_test.go):
//
//   - the OK that ends the login is not compressed, everything after it is;
//   - contents below 50 bytes are stored;
//   - a server sends up to 2^24-1 bytes of a row in one frame, which may take
//     500 bytes, so that a frame that inflates 30000 times is nothing unusual;
//   - frames are numbered, from 0 with every command and on with the answer;
//     servers refuse a wrong number (1156), and answer only the first of
//     several commands in one frame;
//   - the sequence ids of the packets inside are not looked at. A server that
//     answers by several results sets them back to the frame's;
//   - MySQL refuses a level of zstd other than 1 to 22 (3923) before it looks
//     at the password, and takes zlib from a client that has both.
package compress
