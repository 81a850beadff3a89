/* A stand-in of the Nitro Security Module's driver: answers the ioctl of linux/nsm.h for any open file.
 *
 * Loaded in front of the C library. The answer is the content of the file that NSM_ANSWER names; the request is
 * written to the file that NSM_REQUEST names.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct nsm_iovec {
	uint64_t addr;
	uint64_t len;
};

struct nsm_raw {
	struct nsm_iovec request;
	struct nsm_iovec response;
};

#define NSM_IOCTL_RAW _IOWR(0x0A, 0x0, struct nsm_raw)

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	va_start(args, request);
	void *argument = va_arg(args, void *);
	va_end(args);
	if (request != NSM_IOCTL_RAW)
		return (int)syscall(SYS_ioctl, fd, request, argument);

	struct nsm_raw *message = argument;
	const char *asked = getenv("NSM_REQUEST"), *answer = getenv("NSM_ANSWER");
	FILE *file = asked ? fopen(asked, "wb") : NULL;
	if (!file || fwrite((void *)(uintptr_t)message->request.addr, 1, message->request.len, file) != message->request.len) {
		errno = EIO;
		return -1;
	}
	fclose(file);
	file = answer ? fopen(answer, "rb") : NULL;
	if (!file) {
		errno = EFAULT;
		return -1;
	}
	message->response.len = fread((void *)(uintptr_t)message->response.addr, 1, message->response.len, file);
	fclose(file);
	return 0;
}
