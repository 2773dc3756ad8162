/* resolve_posix.c - what getaddrinfo says went wrong. */
#include <errno.h>

#include "net/resolve.h"

int resolve_error(int code, int error)
{
	switch (code) {
	case 0:
		return 0;
	case EAI_NONAME:
	case EAI_SERVICE:
#ifdef EAI_NODATA
	case EAI_NODATA:
#endif
#ifdef EAI_ADDRFAMILY
	case EAI_ADDRFAMILY:
#endif
		return -ENOENT;
	case EAI_AGAIN:
		return -EHOSTUNREACH;
	case EAI_BADFLAGS:
		return -EINVAL;
	case EAI_FAMILY:
		return -EAFNOSUPPORT;
	case EAI_SOCKTYPE:
		return -ESOCKTNOSUPPORT;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_OVERFLOW:
		return -ENAMETOOLONG;
	case EAI_SYSTEM:
		return error > 0 ? -error : -EIO;
	default: /* EAI_FAIL, and what a C library adds */
		return -EIO;
	}
}
