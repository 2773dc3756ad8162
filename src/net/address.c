/* address.c - addresses as text, parsed and printed.
 *
 * The grammar is in fiber/net.h. It is strict: whatever is not surely meant is -EINVAL, because a
 * name that is wrong by one character would be asked of the network otherwise. What is printed
 * parses to the same address again. */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"

/* The path or name in sun_path, always with a zero byte behind it: the kernel needs none, but other
 * programs forget that. */
enum { PATH_MOST = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };

static const struct scheme {
	const char *name;
	int family, type;
} schemes[] = {
	{ "tcp", AF_UNSPEC, SOCK_STREAM },
	{ "udp", AF_UNSPEC, SOCK_DGRAM },
	{ "unix", AF_UNIX, SOCK_STREAM },
	{ "unixgram", AF_UNIX, SOCK_DGRAM },
	{ "unixpacket", AF_UNIX, SOCK_SEQPACKET },
};
enum { SCHEMES = sizeof schemes / sizeof schemes[0] };

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_letter(char c)
{
	return is_lower(c) || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int find_scheme(const char *text, size_t bytes, const struct scheme **out)
{
	if (bytes == 0)
		return -EINVAL;
	for (size_t i = 0; i < bytes; i++)
		if (!is_lower(text[i]) && !(i > 0 && is_digit(text[i])))
			return -EINVAL;
	for (size_t i = 0; i < SCHEMES; i++) {
		if (strlen(schemes[i].name) == bytes && memcmp(schemes[i].name, text, bytes) == 0) {
			*out = &schemes[i];
			return 0;
		}
	}
	return -EAFNOSUPPORT;
}

/* `text`, without the final zero, into an array that has room for `most` bytes and one. */
static void copy_text(char *out, const char *text, size_t bytes, size_t most)
{
	must(bytes <= most);
	memcpy(out, text, bytes);
	out[bytes] = '\0';
}

/* ---- Unix -------------------------------------------------------------------------------------*/
static int parse_path(const char *text, struct address *out)
{
	size_t bytes = strlen(text);

	if (bytes == 0 || (text[0] == '@' && bytes == 1))
		return -EINVAL;
	/* '@' stands for the zero byte of an abstract name, so both kinds have the same room. */
	if (bytes > PATH_MOST + (size_t)(text[0] == '@'))
		return -ENAMETOOLONG;
	out->path.sun_family = AF_UNIX;
	memcpy(out->path.sun_path, text, bytes);
	out->path_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
	if (text[0] == '@')
		out->path.sun_path[0] = '\0';
	else
		out->path_bytes++;
	return 0;
}

bool address_is_file(const struct address *a)
{
	return a->family == AF_UNIX && a->path.sun_path[0] != '\0';
}

/* ---- host and port ----------------------------------------------------------------------------*/
static int parse_number(const char *text, struct address *out)
{
	unsigned port = 0;

	for (const char *c = text; *c; c++) {
		if (!is_digit(*c))
			return -EINVAL;
		port = port * 10 + (unsigned)(*c - '0');
		if (port > 65535)
			return -EINVAL;
	}
	out->port_zero = port == 0;
	snprintf(out->service, sizeof out->service, "%u", port);
	return 0;
}

static int parse_service(const char *text, struct address *out)
{
	size_t bytes = strlen(text);

	if (bytes == 0 || bytes > ADDRESS_SERVICE_MOST)
		return -EINVAL;
	if (is_digit(text[0]))
		return parse_number(text, out);
	if (!is_letter(text[0]))
		return -EINVAL;
	for (size_t i = 1; i < bytes; i++)
		if (!is_letter(text[i]) && !is_digit(text[i]) && !strchr("-_+.", text[i]))
			return -EINVAL;
	copy_text(out->service, text, bytes, ADDRESS_SERVICE_MOST);
	return 0;
}

static int parse_host(const char *text, size_t bytes, struct address *out)
{
	if (bytes == 0)
		return -EINVAL;
	if (bytes > ADDRESS_HOST_MOST)
		return -ENAMETOOLONG;
	if (bytes == 1 && text[0] == '*') {
		out->any = true;
		return 0;
	}
	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c <= ' ' || c == 0x7f || strchr("/@[]*", c))
			return -EINVAL;
	}
	copy_text(out->host, text, bytes, ADDRESS_HOST_MOST);
	return 0;
}

static int parse_host_port(const char *text, struct address *out)
{
	const char *host = text, *end, *port;

	if (text[0] == '[') {
		host = text + 1;
		end = strchr(host, ']');
		/* Brackets hold an IPv6 literal, which has a colon. */
		if (!end || end[1] != ':' || !memchr(host, ':', (size_t)(end - host)))
			return -EINVAL;
		port = end + 2;
	} else {
		end = strchr(host, ':');
		/* A second colon: an IPv6 literal without brackets, which could end anywhere. */
		if (!end || strchr(end + 1, ':'))
			return -EINVAL;
		port = end + 1;
	}
	int r = parse_host(host, (size_t)(end - host), out);

	return r < 0 ? r : parse_service(port, out);
}

int address_parse(const char *text, struct address *out)
{
	const struct scheme *scheme;
	const char *colon = text ? strchr(text, ':') : NULL;

	if (!colon)
		return -EINVAL;
	int r = find_scheme(text, (size_t)(colon - text), &scheme);

	if (r < 0)
		return r;
	memset(out, 0, sizeof *out);
	out->type = scheme->type;
	out->family = scheme->family;
	if (scheme->family == AF_UNIX)
		return parse_path(colon + 1, out);
	return parse_host_port(colon + 1, out);
}

/* ---- printing ---------------------------------------------------------------------------------*/
static const char *scheme_name(int type, bool is_unix)
{
	for (size_t i = 0; i < SCHEMES; i++)
		if (schemes[i].type == type && (schemes[i].family == AF_UNIX) == is_unix)
			return schemes[i].name;
	return NULL;
}

/* `n`: what snprintf gave. */
static int fits(int n, size_t bytes)
{
	return n < 0 || (size_t)n >= bytes ? -ENOSPC : n;
}

static int print_in(const char *scheme, const void *host, in_port_t port, char *text, size_t bytes)
{
	char number[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, host, number, sizeof number);
	return fits(snprintf(text, bytes, "%s:%s:%u", scheme, number, ntohs(port)), bytes);
}

static int print_in6(const char *scheme, const struct sockaddr_in6 *a, char *text, size_t bytes)
{
	char number[INET6_ADDRSTRLEN], zone[16] = "";

	if (IN6_IS_ADDR_V4MAPPED(&a->sin6_addr))
		return print_in(scheme, &a->sin6_addr.s6_addr[12], a->sin6_port, text, bytes);
	inet_ntop(AF_INET6, &a->sin6_addr, number, sizeof number);
	/* The interface by number: its name would cost system calls, and may change. */
	if (a->sin6_scope_id)
		snprintf(zone, sizeof zone, "%%%u", (unsigned)a->sin6_scope_id);
	return fits(snprintf(text, bytes, "%s:[%s%s]:%u", scheme, number, zone,
			     ntohs(a->sin6_port)), bytes);
}

static int print_path(const char *scheme, const struct sockaddr_un *a, socklen_t length,
		      char *text, size_t bytes)
{
	size_t n = (size_t)length > offsetof(struct sockaddr_un, sun_path)
			   ? (size_t)length - offsetof(struct sockaddr_un, sun_path) : 0;
	/* getsockname on Linux says one byte more than there are when a path fills all of them. */
	if (n > sizeof a->sun_path)
		n = sizeof a->sun_path;
	if (n > 0 && a->sun_path[0] != '\0') {
		const char *before = a->sun_path[0] == '@' ? "./" : "";

		return fits(snprintf(text, bytes, "%s:%s%.*s", scheme, before,
				     (int)strnlen(a->sun_path, n), a->sun_path), bytes);
	}
	size_t start = strlen(scheme) + 1;

	if (start + n >= bytes)
		return -ENOSPC;
	snprintf(text, bytes, "%s:", scheme);
	for (size_t i = 0; i < n; i++)
		text[start + i] = a->sun_path[i] ? a->sun_path[i] : '@';
	text[start + n] = '\0';
	return (int)(start + n);
}

static int print(int type, const struct sockaddr *a, socklen_t length, char *text, size_t bytes)
{
	const char *scheme = scheme_name(type, a->sa_family == AF_UNIX);

	if (!scheme)
		return -EAFNOSUPPORT;
	switch (a->sa_family) {
	case AF_INET: {
		const struct sockaddr_in *in = (const void *)a;

		return print_in(scheme, &in->sin_addr, in->sin_port, text, bytes);
	}
	case AF_INET6:
		return print_in6(scheme, (const void *)a, text, bytes);
	case AF_UNIX:
		return print_path(scheme, (const void *)a, length, text, bytes);
	default:
		return -EAFNOSUPPORT;
	}
}

int address_print(int type, const struct sockaddr *a, socklen_t length, char *text, size_t bytes)
{
	int r = print(type, a, length, text, bytes);

	if (r < 0 && bytes > 0)
		text[0] = '\0';
	return r;
}
