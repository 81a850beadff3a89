// npm @transmute/cose, by the editor of RFC 9942: receipts of inclusion and consistency, and a transparent statement.
//
// It verifies ECDSA only, hence the ledger with ES256 receipts. As `entry` it wants the leaf hash. Of RFC 9162, 2.1.4.2,
// it leaves out step 2 (the root of a complete older tree starts the path), so that it refuses every proof from a size
// that is a power of two: consistency is checked from the other sizes.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const [input, modules] = process.argv.slice(2)
const cose = createRequire(modules + '/')('@transmute/cose')
const given = JSON.parse(readFileSync(input))
const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64url'))
const buffer = (text) => cose.cbor.toArrayBuffer(bytes(text))
const flipped = (data, at) => {
  const changed = new Uint8Array(data.slice(0))
  changed[at < 0 ? changed.length + at : at] ^= 1
  return changed.buffer
}

const resolver = { resolve: async () => given.log_key }
const verifier = cose.detached.verifier({ resolver })

async function holds(name, check) {
  try {
    await check()
    console.log(`ok ${name}`)
  } catch (error) {
    console.log(`FAIL ${name}: ${error.message}`)
    console.error(error)
  }
}

// Refused is what throws one of these, or is not true; anything else that is thrown is a mistake of the check.
const REFUSALS = /Signature verification failed|Hash does not match|does not verify|Root hash/i
async function refuses(name, attempt) {
  let accepted = false
  try {
    accepted = await attempt()
  } catch (error) {
    if (!REFUSALS.test(error.message)) {
      console.log(`FAIL refuses ${name}: ${error.message}`)
      console.error(error)
      return
    }
  }
  console.log(accepted ? `FAIL refuses ${name}: accepted` : `ok refuses ${name}`)
}

function same(got, want) {
  if (!Buffer.from(got).equals(Buffer.from(want))) throw new Error('another root than the log has')
}

const inclusion = (leaf, receipt) => cose.receipt.inclusion.verify({ entry: leaf, receipt, verifier })
const consistency = (oldRoot, newRoot, receipt) =>
  cose.receipt.consistency.verify({ oldRoot: bytes(oldRoot), newRoot: bytes(newRoot), receipt, verifier })
const agreed = async (...args) => {
  if ((await consistency(...args)) !== true) throw new Error('does not verify')
  return true
}

for (const { index, leaf, receipt } of given.inclusion) {
  await holds(`inclusion receipt of entry ${index}`, async () => {
    same(await inclusion(bytes(leaf), buffer(receipt)), bytes(given.root))
  })
}
const [one, other] = given.inclusion
await refuses('a receipt for another entry', () => inclusion(bytes(other.leaf), buffer(one.receipt)))
await refuses('a receipt with a changed signature', () => inclusion(bytes(one.leaf), flipped(buffer(one.receipt), -1)))
await refuses('a receipt with a changed path', () =>
  inclusion(bytes(one.leaf), flipped(buffer(one.receipt), one.in_path)))

for (const { from, old_root, receipt } of given.consistency) {
  await holds(`consistency receipt from ${from}`, () => agreed(old_root, given.root, buffer(receipt)))
}
const [first, second] = given.consistency
await refuses('a consistency receipt from another tree', () =>
  agreed(second.old_root, given.root, buffer(first.receipt)))
await refuses('a consistency receipt with a changed signature', () =>
  agreed(first.old_root, given.root, flipped(buffer(first.receipt), -1)))
await refuses('a consistency receipt with a changed path', () =>
  agreed(first.old_root, given.root, flipped(buffer(first.receipt), first.in_path)))

// A whole transparent statement: the issuer's signature, the receipt in the unprotected header, the leaf, the root.
const { bytes: transparent, payload, issuer_key: issuerKey } = given.transparent
const kidOf = (message) => {
  const { value } = cose.cbor.decodeFirstSync(message)
  return Buffer.from(cose.cbor.decodeFirstSync(value[0]).get(4)).toString('base64url')
}
const both = await cose.receipt.verifier({
  resolve: async (message) => (kidOf(message) === given.transparent.issuer_kid ? issuerKey : given.log_key),
})
await holds('a transparent statement, the issuer and the log', async () => {
  const verified = await both.verify({ coseSign1: buffer(transparent), payload: buffer(payload) })
  if (verified.receipts.length !== 1) throw new Error(`${verified.receipts.length} receipts verified, want 1`)
  same(verified.receipts[0], bytes(given.root))
})
await refuses('a transparent statement with another payload', async () => {
  await both.verify({ coseSign1: buffer(transparent), payload: flipped(buffer(payload), 0) })
  return true
})
