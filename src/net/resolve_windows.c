/* resolve_windows.c - what getaddrinfo says went wrong: errors of Winsock. */
#include <errno.h>

#include "net/resolve.h"
#include "os/errno_windows.h"

int resolve_error(int code, int error)
{
	(void)error;
	switch (code) {
	case 0:
		return 0;
	case WSAHOST_NOT_FOUND: /* EAI_NONAME */
	case WSATYPE_NOT_FOUND: /* EAI_SERVICE */
	case WSANO_DATA:
		return -ENOENT;
	case WSATRY_AGAIN:
		return -EHOSTUNREACH;
	case WSANO_RECOVERY:
		return -EIO;
	case WSA_NOT_ENOUGH_MEMORY:
		return -ENOMEM;
	default:
		return os_error((uint32_t)code);
	}
}
