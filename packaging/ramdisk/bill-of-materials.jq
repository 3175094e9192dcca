# An SPDX 2.3 document (spdx.github.io/spdx-spec/v2.3) out of lines "package version architecture source SHA-256", tab-separated.
# $name: of the RAM disk; $digest: the SHA-256 of its initramfs, which makes the document's name unique; $created: its time.
{
  spdxVersion: "SPDX-2.3",
  dataLicense: "CC0-1.0",
  SPDXID: "SPDXRef-DOCUMENT",
  name: $name,
  documentNamespace: "https://ingot.invalid/spdx/\($name)-\($digest)",
  creationInfo: {created: $created, creators: ["Tool: ingot-build-ramdisk"]},
  documentDescribes: ["SPDXRef-ramdisk"],
  packages: ([{
    name: $name,
    SPDXID: "SPDXRef-ramdisk",
    packageFileName: "\($name).initramfs",
    checksums: [{algorithm: "SHA256", checksumValue: $digest}],
    downloadLocation: "NOASSERTION",
    filesAnalyzed: false,
    primaryPackagePurpose: "OPERATING-SYSTEM"
  }] + [split("\n")[] | select(. != "") | split("\t") | {
    name: .[0],
    SPDXID: "SPDXRef-Package-\(.[0] | gsub("[^a-zA-Z0-9.]"; "-"))",
    versionInfo: .[1],
    sourceInfo: "built from \(.[3])",
    supplier: "NOASSERTION",
    downloadLocation: "NOASSERTION",
    filesAnalyzed: false,
    licenseConcluded: "NOASSERTION",
    licenseDeclared: "NOASSERTION",
    copyrightText: "NOASSERTION",
    checksums: [{algorithm: "SHA256", checksumValue: .[4]}],
    externalRefs: [{
      referenceCategory: "PACKAGE-MANAGER",
      referenceType: "purl",
      referenceLocator: "pkg:deb/debian/\(.[0] | @uri)@\(.[1] | @uri)?arch=\(.[2])"
    }]
  }]),
  relationships: ([{spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: "SPDXRef-ramdisk"}] +
    [split("\n")[] | select(. != "") | split("\t")[0] | {
      spdxElementId: "SPDXRef-ramdisk", relationshipType: "CONTAINS",
      relatedSpdxElement: "SPDXRef-Package-\(gsub("[^a-zA-Z0-9.]"; "-"))"
    }])
}
