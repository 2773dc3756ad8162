/* address.h - addresses as text: parsed, and printed. Touches nothing but memory. */
#ifndef FB_NET_ADDRESS_H
#define FB_NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
	ADDRESS_HOST_MOST = 253,    /* of a name in the DNS */
	ADDRESS_SERVICE_MOST = 63,
};

struct address {
	int type;                   /* SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET */
	int family;                 /* AF_UNIX: see path; AF_UNSPEC: host and service */
	union {
		struct {
			bool any;           /* host was `*`, and is empty */
			bool port_zero;
			char host[ADDRESS_HOST_MOST + 1];
			char service[ADDRESS_SERVICE_MOST + 1];
		};
		struct {
			struct sockaddr_un path;
			socklen_t path_bytes;
		};
	};
};

/* 0, -EINVAL, -EAFNOSUPPORT, -ENAMETOOLONG: see fiber/net.h. */
int address_parse(const char *text, struct address *out);

/* A Unix address that is a file, and no abstract name. */
bool address_is_file(const struct address *);

/* The length; -ENOSPC; -EAFNOSUPPORT. Text is "" after an error, if it has a byte. */
int address_print(int type, const struct sockaddr *, socklen_t, char *text, size_t bytes);

#endif
