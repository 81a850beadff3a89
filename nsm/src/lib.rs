//! One request to the Nitro Security Module: the ioctl of `/dev/nsm`, and nothing else.
//!
//! In scope: handing octets to the driver and taking octets back (Linux, include/uapi/linux/nsm.h).
//! Out of scope: what they mean. This crate is apart from the others because it is the only one with `unsafe` in it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

/// Where Linux has it.
pub const DEVICE: &str = "/dev/nsm";
/// Octets of a request at most (`NSM_REQUEST_MAX_SIZE`).
pub const MAX_REQUEST_BYTES: usize = 0x1000;
/// Octets of a response at most (`NSM_RESPONSE_MAX_SIZE`).
pub const MAX_RESPONSE_BYTES: usize = 0x3000;

/// `struct nsm_raw` of the driver's interface: two `iovec`s.
#[repr(C)]
struct Message {
    request: libc::iovec,
    response: libc::iovec,
}

/// `_IOWR(0x0A, 0x0, struct nsm_raw)`: both directions, the size of the message, the driver's letter, number 0.
const NSM_REQUEST: libc::c_ulong = (3 << 30) | ((size_of::<Message>() as libc::c_ulong) << 16) | (0x0A << 8);

/// Sends a request to the module behind an open device, and returns its response.
pub fn exchange(device: &File, request: &[u8]) -> io::Result<Vec<u8>> {
    if request.len() > MAX_REQUEST_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the request is too long for the NSM"));
    }
    // The driver takes a pointer that is not const; it reads from it and no more, but what it might write is ours.
    let mut request = request.to_vec();
    let mut response = vec![0_u8; MAX_RESPONSE_BYTES];
    let mut message = Message {
        request: libc::iovec { iov_base: request.as_mut_ptr().cast(), iov_len: request.len() },
        response: libc::iovec { iov_base: response.as_mut_ptr().cast(), iov_len: response.len() },
    };
    // SAFETY: the descriptor is open for as long as `device` is borrowed. `message` has the layout that the driver
    // expects (C, two iovecs), and its pointers are to live allocations of the lengths beside them, which nothing
    // else refers to until the call returns. The driver keeps no pointer after that.
    #[expect(unsafe_code, reason = "the driver has no other interface")]
    let status = unsafe { libc::ioctl(device.as_raw_fd(), NSM_REQUEST, &raw mut message) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    // How much it wrote, never more than there was room for.
    response.truncate(message.response.iov_len.min(MAX_RESPONSE_BYTES));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the header's macro gives it on 64-bit Linux.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_request_number_is_the_header_s() {
        assert_eq!(NSM_REQUEST, 0xc020_0a00);
    }

    #[test]
    fn what_is_no_nsm_is_an_error() {
        let device = File::open("/dev/null").unwrap();
        assert!(exchange(&device, b"request").is_err());
        assert_eq!(
            exchange(&device, &[0; MAX_REQUEST_BYTES + 1]).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
