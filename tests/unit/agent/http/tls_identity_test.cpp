// The agent's own certificate: what Ironic's agent makes, and when a kept one is still good.
#include "agent/http/tls_identity.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>

namespace ingot::agent {
namespace {

using Certificate = std::unique_ptr<X509, decltype(&::X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)>;

Certificate certificate_of(const std::string& pem) {
  BIO* source = ::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  Certificate certificate(::PEM_read_bio_X509(source, nullptr, nullptr, nullptr), ::X509_free);
  ::BIO_free(source);
  return certificate;
}

Key key_of(const std::string& pem) {
  BIO* source = ::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  Key key(::PEM_read_bio_PrivateKey(source, nullptr, nullptr, nullptr), ::EVP_PKEY_free);
  ::BIO_free(source);
  return key;
}

TlsIdentity made(const std::string& host, const std::string& name = "host1") {
  auto identity = make_tls_identity(host, name);
  EXPECT_TRUE(identity) << identity.error().message();
  return identity.value_or(TlsIdentity{});
}

std::string common_name(X509* certificate) {
  char text[400] = {};
  ::X509_NAME_get_text_by_NID(::X509_get_subject_name(certificate), NID_commonName, text,
                              sizeof text);
  return text;
}

// Signs `identity`'s certificate again with other dates, seconds from now.
TlsIdentity dated(TlsIdentity identity, long from, long to) {
  const auto certificate = certificate_of(identity.certificate);
  const auto key = key_of(identity.private_key);
  ::X509_gmtime_adj(::X509_getm_notBefore(certificate.get()), from);
  ::X509_gmtime_adj(::X509_getm_notAfter(certificate.get()), to);
  EXPECT_GT(::X509_sign(certificate.get(), key.get(), ::EVP_sha512()), 0);
  BIO* sink = ::BIO_new(::BIO_s_mem());
  ::PEM_write_bio_X509(sink, certificate.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(sink, &data);
  identity.certificate.assign(data, static_cast<std::size_t>(size));
  ::BIO_free(sink);
  return identity;
}

TEST(TlsIdentity, HasAKeyOnP384InPkcs8) {
  const auto identity = made("192.0.2.7");
  EXPECT_EQ(identity.private_key.rfind("-----BEGIN PRIVATE KEY-----\n", 0), 0U);
  const auto key = key_of(identity.private_key);
  ASSERT_TRUE(key);
  char curve[32] = {};
  ASSERT_EQ(::EVP_PKEY_get_group_name(key.get(), curve, sizeof curve, nullptr), 1);
  EXPECT_STREQ(curve, "secp384r1");
  EXPECT_NE(made("192.0.2.7").private_key, identity.private_key);
}

TEST(TlsIdentity, CertificateVouchesForOneAddressAndNothingElse) {
  for (const std::string host : {"192.0.2.7", "2001:db8::7"}) {
    const auto identity = made(host);
    const auto certificate = certificate_of(identity.certificate);
    ASSERT_TRUE(certificate);
    EXPECT_EQ(::X509_get_version(certificate.get()), X509_VERSION_3);
    EXPECT_EQ(common_name(certificate.get()), "host1");
    EXPECT_EQ(::X509_NAME_entry_count(::X509_get_subject_name(certificate.get())), 1);
    EXPECT_EQ(::X509_NAME_cmp(::X509_get_subject_name(certificate.get()),
                              ::X509_get_issuer_name(certificate.get())),
              0);
    EXPECT_EQ(::X509_get_signature_nid(certificate.get()), NID_ecdsa_with_SHA512);
    ASSERT_EQ(::X509_get_ext_count(certificate.get()), 1);
    EXPECT_EQ(::X509_EXTENSION_get_critical(::X509_get_ext(certificate.get(), 0)), 1);
    auto* names = static_cast<GENERAL_NAMES*>(
        ::X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr));
    ASSERT_NE(names, nullptr);
    EXPECT_EQ(sk_GENERAL_NAME_num(names), 1);
    EXPECT_EQ(sk_GENERAL_NAME_value(names, 0)->type, GEN_IPADD);
    ::GENERAL_NAMES_free(names);
    EXPECT_EQ(::X509_check_ip_asc(certificate.get(), host.c_str(), 0), 1);
    // Signed by its own key.
    EXPECT_EQ(::X509_verify(certificate.get(), ::X509_get0_pubkey(certificate.get())), 1);
  }
}

TEST(TlsIdentity, SerialIsRandomPositiveAndShort) {
  const auto one = certificate_of(made("192.0.2.7").certificate);
  const auto two = certificate_of(made("192.0.2.7").certificate);
  const ASN1_INTEGER* serial = ::X509_get0_serialNumber(one.get());
  EXPECT_NE(::ASN1_INTEGER_cmp(serial, ::X509_get0_serialNumber(two.get())), 0);
  EXPECT_EQ(serial->type, V_ASN1_INTEGER);  // a negative one has a type of its own
  EXPECT_LE(serial->length, 20);
  EXPECT_GE(serial->length, 16);
}

TEST(TlsIdentity, IsValidFromAnHourAgoForThirtyDays) {
  const auto certificate = certificate_of(made("192.0.2.7").certificate);
  int days = 0;
  int rest = 0;
  ASSERT_EQ(::ASN1_TIME_diff(&days, &rest, ::X509_get0_notBefore(certificate.get()), nullptr), 1);
  EXPECT_EQ(days, 0);
  EXPECT_GE(rest, 3600);
  EXPECT_LT(rest, 3600 + 600);
  ASSERT_EQ(::ASN1_TIME_diff(&days, &rest, nullptr, ::X509_get0_notAfter(certificate.get())), 1);
  EXPECT_LE(days * 86400 + rest, 30 * 86400);
  EXPECT_GE(days * 86400 + rest, 30 * 86400 - 600);
}

TEST(TlsIdentity, AnyNameFits) {
  const auto cut = [](const std::string& name) {
    return common_name(certificate_of(made("192.0.2.7", name).certificate).get());
  };
  EXPECT_EQ(cut(std::string(64, 'h')), std::string(64, 'h'));
  EXPECT_EQ(cut(std::string(300, 'h')), std::string(64, 'h'));
  EXPECT_EQ(cut(""), "192.0.2.7");
  // Neither UTF-8 nor printable.
  EXPECT_EQ(cut("a\xFF\nb"), "a??b");
}

TEST(TlsIdentity, OnlyAddressesAreHosts) {
  for (const std::string host :
       {"", "host1", "192.0.2", "[2001:db8::7]", "fe80::1%eth0", "192.0.2.7:9999", "192.0.2.7 "}) {
    const auto identity = make_tls_identity(host, "host1");
    ASSERT_FALSE(identity) << host;
    EXPECT_EQ(identity.error().code(), Errc::usage_option);
  }
}

TEST(TlsIdentity, SuitsItsOwnAddressAndKeyOnly) {
  const auto identity = made("192.0.2.7");
  EXPECT_TRUE(suits(identity, "192.0.2.7"));
  EXPECT_FALSE(suits(identity, "192.0.2.8"));
  EXPECT_FALSE(suits(identity, "2001:db8::7"));
  EXPECT_FALSE(suits(identity, "host1"));
  const auto other = made("192.0.2.7");
  EXPECT_FALSE(suits({other.private_key, identity.certificate}, "192.0.2.7"));
  const auto six = made("2001:db8::7");
  EXPECT_TRUE(suits(six, "2001:db8:0:0:0:0:0:7"));
}

TEST(TlsIdentity, SuitsWhileItIsValidForAnotherHour) {
  const auto identity = made("192.0.2.7");
  EXPECT_TRUE(suits(dated(identity, -60, 3600 + 600), "192.0.2.7"));
  EXPECT_FALSE(suits(dated(identity, -60, 3600 - 60), "192.0.2.7"));
  EXPECT_FALSE(suits(dated(identity, -7200, -60), "192.0.2.7"));
  EXPECT_FALSE(suits(dated(identity, 600, 86400), "192.0.2.7"));
}

TEST(TlsIdentity, WhatIsNoIdentitySuitsNobody) {
  const auto identity = made("192.0.2.7");
  EXPECT_FALSE(suits({}, "192.0.2.7"));
  EXPECT_FALSE(suits({"", identity.certificate}, "192.0.2.7"));
  EXPECT_FALSE(suits({identity.private_key, ""}, "192.0.2.7"));
  EXPECT_FALSE(suits({identity.certificate, identity.private_key}, "192.0.2.7"));
  EXPECT_FALSE(suits({identity.private_key, identity.certificate.substr(0, 300)}, "192.0.2.7"));
  // An encrypted key: nobody is asked for its passphrase.
  const auto key = key_of(identity.private_key);
  BIO* sink = ::BIO_new(::BIO_s_mem());
  ASSERT_EQ(::PEM_write_bio_PKCS8PrivateKey(sink, key.get(), ::EVP_aes_256_cbc(), "secret", 6,
                                            nullptr, nullptr),
            1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(sink, &data);
  const std::string encrypted(data, static_cast<std::size_t>(size));
  ::BIO_free(sink);
  EXPECT_FALSE(suits({encrypted, identity.certificate}, "192.0.2.7"));
}

}  // namespace
}  // namespace ingot::agent
