//! The one checksum of this workspace: CRC-32C (Castagnoli), as in iSCSI.
//!
//! With `std` the processor's CRC instruction is found at run time and used, without it tables.
//! The value is the same.

/// Returns the CRC-32C of `bytes`.
///
/// ```
/// assert_eq!(raft_proto::crc32c(b"123456789"), 0xe306_9283);
/// ```
#[must_use]
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c_append(0, bytes)
}

/// Returns the CRC-32C of some bytes followed by `bytes`, given the CRC-32C of the former.
///
/// The value for nothing is zero.
///
/// ```
/// use raft_proto::{crc32c, crc32c_append};
///
/// assert_eq!(crc32c_append(crc32c(b"1234"), b"56789"), crc32c(b"123456789"));
/// ```
#[must_use]
#[inline]
pub fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    #[cfg(feature = "std")]
    return crc32c::crc32c_append(crc, bytes);
    #[cfg(not(feature = "std"))]
    return by_table(crc, bytes);
}

#[cfg(any(test, not(feature = "std")))]
fn by_table(crc: u32, bytes: &[u8]) -> u32 {
    static TABLES: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);

    // The crate takes its start value in the algorithm's bit order before reflection and inversion.
    let mut digest = TABLES.digest_with_initial((!crc).reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Bit by bit, straight from the definition.
    fn by_definition(crc: u32, bytes: &[u8]) -> u32 {
        let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        !bytes.iter().fold(!crc, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
    }

    #[test]
    fn all_implementations_agree_at_every_length_and_split() {
        let bytes: Vec<u8> = (0..300_u32).flat_map(|i| (i * i * 77).to_le_bytes()).collect();
        for length in 0..bytes.len() {
            let (front, back) = bytes.split_at(length);
            let crc = by_definition(0, front);
            assert_eq!(crc32c(front), crc);
            assert_eq!(by_table(0, front), crc);
            let all = by_definition(crc, back);
            assert_eq!(crc32c_append(crc, back), all);
            assert_eq!(by_table(crc, back), all);
        }
    }
}
