"""Replies as servers send them, each with where it was found, and what they come to, judged by hand.

Sources: RFCs; pages of the vendors; S = Sisimai's tables of what destinations say (rhost/…) and its set of collected
reports (set-of-emails); threads of public issue trackers as owner/name#number; K = how that server is known to speak,
not looked up.
"""

# ruff: noqa: E501 - one reply a line

from __future__ import annotations

import pytest

from mailblast.model.outcome import Advice, Disposition
from mailblast.model.reply import Scope, Stage
from mailblast.providers.smtp.classify import classify
from mailblast.providers.smtp.replies import parse_reply

T, P = Disposition.TEMPORARY, Disposition.PERMANENT
RECIPIENT, MESSAGE, DOMAIN, ACCOUNT, CONNECTION = (
    Scope.RECIPIENT,
    Scope.MESSAGE,
    Scope.DOMAIN,
    Scope.ACCOUNT,
    Scope.CONNECTION,
)
NONE, SLOW, TOMORROW, ROTATE = Advice.NONE, Advice.SLOW_DOWN, Advice.TOMORROW, Advice.ROTATE
GOOGLE = "support.google.com/a/answer/3726730"
EXCHANGE = "learn.microsoft.com, non-delivery reports in Exchange Online"
SUBMISSION = "learn.microsoft.com, smtp-submission-improvements"
SES = "docs.aws.amazon.com/ses, smtp-response-codes"
QUOTAS = "docs.aws.amazon.com/ses, manage-sending-quotas-errors"
MIMECAST = "Mimecast SMTP error codes, 34000709564691"
SMTPD = "Postfix 3.7, smtpd"
CHECK = "Postfix 3.7, smtpd, access checks"
SET = "S, set-of-emails"
YAHOO = "S, rhost/yahooinc"

# fmt: off
REPLIES = [
    # Gmail and Workspace.
    (GOOGLE, "connect", "421 4.7.0 Try again later, closing connection.", T, CONNECTION, NONE),
    (GOOGLE, "body", "421 4.3.0 Temporary System Problem. Try again later", T, CONNECTION, NONE),
    (GOOGLE, "mail", "421 4.4.5 Server busy, try again later.", T, CONNECTION, SLOW),
    (GOOGLE, "body", "421 4.7.0 Our system has detected an unusual rate of unsolicited mail originating from your IP address.", T, DOMAIN, SLOW),
    (GOOGLE, "body", "421-4.7.28 Gmail has detected an unusual rate of mail originating from your SPF domain [example.org].\n421 4.7.28 To protect our users from spam, mail has been temporarily rate limited.", T, DOMAIN, SLOW),
    (GOOGLE, "body", "421 4.7.28 Gmail has detected this message exceeded its quota for sending messages with the same Message-ID.", T, DOMAIN, SLOW),
    (GOOGLE, "body", "421 4.7.26 This mail has been rate limited because it is unauthenticated.", T, DOMAIN, SLOW),
    (GOOGLE, "body", "421 4.7.32 Your email has been rate limited because the From: header (RFC5322) in this message isn't aligned", T, DOMAIN, SLOW),
    (GOOGLE, "rcpt", "450 4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time.", T, DOMAIN, SLOW),
    (GOOGLE, "rcpt", "450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.", T, DOMAIN, SLOW),
    (SET, "rcpt", "550-5.2.1 The user you are trying to contact is receiving mail at a rate that\n550-5.2.1 prevents additional messages from being delivered.\n550 5.2.1 x - gsmtp", T, DOMAIN, SLOW),
    (GOOGLE, "mail", "450 4.2.1 Peak SMTP relay limit exceeded for customer. This is a temporary error.", T, ACCOUNT, SLOW),
    (GOOGLE, "mail", "550 5.4.5 Daily SMTP relay limit exceeded for user.", T, ACCOUNT, TOMORROW),
    (GOOGLE, "body", "550-5.4.5 Daily user sending limit exceeded. For more information on Gmail\n550 5.4.5 sending limits go to", T, ACCOUNT, TOMORROW),
    (GOOGLE, "auth", "454 4.7.0 Too many login attempts, please try again later.", T, ACCOUNT, SLOW),
    (GOOGLE, "auth", "454 4.7.0 Cannot authenticate due to temporary system problem. Try again later.", T, ACCOUNT, NONE),
    (GOOGLE, "auth", "535-5.7.8 Username and Password not accepted. For more information, go to\n535 5.7.8 x - gsmtp", P, ACCOUNT, NONE),
    (GOOGLE, "auth", "534-5.7.9 Application-specific password required.\n534 5.7.9 x - gsmtp", P, ACCOUNT, NONE),
    (GOOGLE, "mail", "530 5.7.0 Authentication Required. For more information, go to", P, ACCOUNT, NONE),
    (GOOGLE, "mail", "550 5.7.1 Invalid credentials for relay [192.0.2.1]. The IP address you've registered", P, DOMAIN, NONE),
    (GOOGLE, "rcpt", "452 4.2.2 The email account that you tried to reach is over quota.", T, RECIPIENT, NONE),
    (SET, "rcpt", "552-5.2.2 The recipient's inbox is out of storage space and inactive. Please\n552 5.2.2 direct the recipient to", T, RECIPIENT, NONE),
    (GOOGLE, "rcpt", "452 4.5.3 Your message has too many recipients.", T, CONNECTION, NONE),
    (GOOGLE, "rcpt", "550-5.1.1 The email account that you tried to reach does not exist. Please try\n550 5.1.1 double-checking", P, RECIPIENT, NONE),
    (GOOGLE, "rcpt", "550 5.2.1 The email account that you tried to reach is disabled.", P, RECIPIENT, NONE),
    (GOOGLE, "rcpt", "550 5.2.1 The email account that you tried to reach is inactive.", P, RECIPIENT, NONE),
    (SET, "body", "550-5.7.26 The MAIL FROM domain [mail4.example.com] has an SPF record with a\n550 5.7.26 hard fail policy (-all)", P, DOMAIN, NONE),
    (SET, "body", "550-5.7.25 [192.0.2.202] The IP address sending this message does not have a\n550 5.7.25 PTR record setup", P, DOMAIN, NONE),
    (GOOGLE, "body", "550 5.7.30 This mail has been blocked because DKIM does not pass.", P, DOMAIN, NONE),
    (SET, "body", "550-5.7.1 [192.0.2.22 18] Our system has detected that this message is\n550-5.7.1 likely suspicious due to the very low reputation of the sending IP\n550 5.7.1 address.", P, DOMAIN, NONE),
    (SET, "body", "550-5.7.1 This message is not RFC 5322 compliant. There are multiple Subject\n550 5.7.1 headers.", P, MESSAGE, NONE),
    (SET, "body", "552-5.7.0 This message was blocked because its content presents a potential\n552 5.7.0 security issue.", P, MESSAGE, NONE),
    (GOOGLE, "body", "552 5.2.3 Your message exceeded Google's message size limits.", P, MESSAGE, NONE),
    (GOOGLE, "body", "552 5.3.4 The size of the Subject header value (2000 bytes) exceeds Google's limit of 998 bytes", P, MESSAGE, NONE),
    (GOOGLE, "ehlo", '501 5.5.4 HELO/EHLO argument "x" invalid, closing connection.', P, CONNECTION, NONE),
    (GOOGLE, "data", "503 5.5.1 No DATA after BDAT.", P, ACCOUNT, NONE),
    # Microsoft 365 and Outlook.com.
    ("sabuhish/fastapi-mail#75", "body", "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.", T, CONNECTION, SLOW),
    ("Ombi-app/Ombi#4093", "body", "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded.", T, CONNECTION, SLOW),
    ("Barracuda Campus, 501600000013uWLAAY", "connect", "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel", T, CONNECTION, SLOW),
    ("MicrosoftDocs/OfficeDocs-Support#1150", "body", "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", T, ACCOUNT, TOMORROW),
    (EXCHANGE, "body", "550 5.2.2 Submission quota exceeded", T, ACCOUNT, TOMORROW),
    (EXCHANGE, "body", "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients", T, ACCOUNT, TOMORROW),
    (EXCHANGE, "rcpt", "550 5.7.508 Access denied, 192.0.2.1 has exceeded permitted limits within 192.0.2.0/24 range", T, ACCOUNT, TOMORROW),
    ("K, Microsoft, TERRL", "body", "550 5.7.232 Your message can't be sent because your trial tenant has exceeded its daily limit for sending email to external recipients", T, ACCOUNT, TOMORROW),
    (EXCHANGE, "rcpt", "550 5.2.121 Recipient's per hour message receive limit from specific sender exceeded", T, RECIPIENT, NONE),
    (EXCHANGE, "rcpt", "550 5.2.122 The recipient has exceeded their limit for the number of messages they can receive per hour", T, RECIPIENT, NONE),
    (EXCHANGE, "rcpt", "550 5.7.705 Access denied, tenant has exceeded threshold", P, ACCOUNT, NONE),
    (EXCHANGE, "rcpt", "550 5.7.708 Access denied, traffic not accepted from this IP", P, ACCOUNT, NONE),
    (EXCHANGE, "mail", "550 5.7.501 Access denied, spam abuse detected", P, ACCOUNT, NONE),
    (SUBMISSION, "auth", "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.", P, ACCOUNT, NONE),
    ("Microsoft, MC786329", "auth", "550 5.7.30 Basic authentication is not supported for Client Submission.", P, ACCOUNT, NONE),
    (EXCHANGE, "mail", "530 5.7.57 Client not authenticated to send mail.", P, ACCOUNT, NONE),
    (EXCHANGE, "body", "554 5.2.252 SendAsDenied; ada@example.com not allowed to send as bob@example.com", P, ACCOUNT, NONE),
    (EXCHANGE, "body", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", P, ACCOUNT, NONE),
    (EXCHANGE, "rcpt", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", P, DOMAIN, NONE),
    (SET, "mail", "451 4.7.650 The mail server [192.0.2.25] has been temporarily rate limited due to IP reputation.", T, DOMAIN, SLOW),
    ("S, rhost/microsoft", "mail", "451 4.7.500 Server busy. Please try again later from [192.0.2.2]. (AS761)", T, DOMAIN, SLOW),
    ("S, rhost/microsoft", "body", "451 4.7.700 PFA agent busy, please try again.", T, DOMAIN, SLOW),
    (SET, "mail", "550 5.7.606 Access denied, banned sending IP [198.51.100.222]. To request removal from this list please visit", P, DOMAIN, NONE),
    (EXCHANGE, "rcpt", "550 5.7.511 Access denied, banned sender[192.0.2.1].", P, DOMAIN, NONE),
    (SET, "body", "550 5.7.509 Access denied, sending domain [EXAMPLE.JP] does not pass DMARC verification and has a DMARC policy of reject.", P, DOMAIN, NONE),
    ("K, Microsoft, requirements of 2025-05", "body", "550 5.7.515 Access denied, sending domain example.org does not meet the required authentication level.", P, DOMAIN, NONE),
    ("S, rhost/microsoft", "mail", "550 5.7.1 Unfortunately, messages from [192.0.2.5] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150).", P, DOMAIN, NONE),
    (SET, "rcpt", "550 5.4.1 [kijitora@example.org]: Recipient address rejected: Access denied [x.prod.protection.outlook.com]", P, RECIPIENT, NONE),
    (SET, "rcpt", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", P, RECIPIENT, NONE),
    (SET, "rcpt", "550 5.2.2 STOREDRV.Deliver: mailbox full. The following information should help identify the cause", T, RECIPIENT, NONE),
    (SET, "body", "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient", P, MESSAGE, NONE),
    (SET, "rcpt", "550 Requested action not taken: mailbox unavailable", P, RECIPIENT, NONE),
    # Yahoo and AOL.
    (SET, "mail", "421 4.7.0 [TSS04] Messages from 192.0.2.192 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1", T, DOMAIN, SLOW),
    ("help.yahoo.com SLN3436", "mail", "421 4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred", T, DOMAIN, SLOW),
    (YAHOO, "mail", "553 5.7.2 [TSS09] All messages from 192.0.2.25 will be permanently deferred", P, DOMAIN, NONE),
    ("K, Yahoo, 20 messages a connection", "mail", "421 Max message per connection reached, closing transmission channel", T, CONNECTION, ROTATE),
    (SET, "body", "554 5.7.9 Message not accepted for policy reasons. See https://postmaster.verizonmedia.com/error-codes", P, DOMAIN, NONE),
    (SET, "rcpt", "554 delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com) [0] - mta1397", P, RECIPIENT, NONE),
    (YAHOO, "body", "451 Message temporarily deferred due to unresolvable RFC.5321 from domain.", T, MESSAGE, NONE),
    ("K, Yahoo", "connect", "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list", P, CONNECTION, NONE),
    # iCloud.
    ("smtp.codes/icloud", "rcpt", "421 4.7.1 Messages to ada@icloud.com deferred due to excessive volume. Try again later", T, DOMAIN, SLOW),
    ("smtp.codes/icloud", "mail", "421 4.7.0 me.com Error: too many errors", T, CONNECTION, ROTATE),
    ("smtp.codes/icloud", "rcpt", "451 4.7.1 Service unavailable - try again later", T, RECIPIENT, NONE),
    ("smtp.codes/icloud", "body", "550 5.7.1 [CS01] Message rejected due to local policy.", P, MESSAGE, NONE),
    ("support.apple.com/HT4863", "body", "550 5.7.1 ada@icloud.com: You have exceeded your daily sending limit. Please try again later.", T, ACCOUNT, TOMORROW),
    (SET, "rcpt", "550 5.1.6 recipient no longer on server: kijitora@example.jp", P, RECIPIENT, NONE),
    (SET, "rcpt", "552 5.2.2 <pseudo@icloud.com>: user is over quota", T, RECIPIENT, NONE),
    (SET, "body", "554 5.7.1 Your message was rejected due to example.org's DMARC policy.", P, DOMAIN, NONE),
    (SET, "connect", "554 st11p00im-smtpin013.me.com ESMTP not accepting connections", P, CONNECTION, NONE),
    # Postfix.
    (SMTPD, "connect", "421 4.7.0 mx.example.com Error: too many connections from 192.0.2.1", T, CONNECTION, SLOW),
    (SMTPD, "ehlo", "421 4.7.0 mx.example.com Error: too many new TLS sessions from 192.0.2.1", T, CONNECTION, SLOW),
    (SMTPD, "mail", "450 4.7.1 Error: too much mail from 192.0.2.1", T, ACCOUNT, SLOW),
    (SMTPD, "rcpt", "450 4.7.1 Error: too many recipients from 192.0.2.1", T, ACCOUNT, SLOW),
    (SMTPD, "mail", "421 4.4.2 mx.example.com Error: timeout exceeded", T, CONNECTION, ROTATE),
    (SMTPD, "rcpt", "421 4.7.0 mx.example.com Error: too many errors", T, CONNECTION, ROTATE),
    (SMTPD, "body", "552 5.3.4 Error: message file too big", P, MESSAGE, NONE),
    (SMTPD, "mail", "452 4.3.1 Insufficient system storage", T, CONNECTION, NONE),
    (SMTPD, "body", "451 4.3.0 Error: queue file write error", T, CONNECTION, NONE),
    (SMTPD, "body", "550 5.5.2 mx.example.com Error: bare <LF> received", P, MESSAGE, NONE),
    (CHECK, "rcpt", "454 4.7.1 <x@example.com>: Relay access denied", T, RECIPIENT, NONE),
    (CHECK, "rcpt", "554 5.7.1 <x@example.com>: Relay access denied", P, DOMAIN, NONE),
    (CHECK, "mail", "553 5.7.1 <x@example.org>: Sender address rejected: not owned by user ada", P, ACCOUNT, NONE),
    (CHECK, "rcpt", "450 4.1.2 <x@example.com>: Recipient address rejected: Domain not found", T, RECIPIENT, NONE),
    (CHECK, "rcpt", "550 5.1.1 <x@example.com>: Recipient address rejected: User unknown in virtual mailbox table", P, RECIPIENT, NONE),
    (CHECK, "rcpt", "450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]", T, DOMAIN, SLOW),
    (CHECK, "rcpt", "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", P, DOMAIN, NONE),
    (SET, "rcpt", "451 4.3.0 This message could not be delivered due to a recipient error. Please try again later.", T, RECIPIENT, NONE),
    (SET, "rcpt", "550 5.7.1 <kijitora@example.com>: Recipient address rejected: User kijitora@example.com temporary locked. Please try again later!", P, RECIPIENT, NONE),
    ("eleith/emailjs#202", "rcpt", "450 4.2.0 <x@example.com>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.com.html", T, RECIPIENT, NONE),
    ("schweikert/postgrey#86", "rcpt", "450 4.2.0 <x@example.com>: Recipient address rejected: Greylisted for 300 seconds", T, RECIPIENT, NONE),
    ("K, rspamd, greylist module", "body", "451 4.7.1 Greylisted, please try again later", T, RECIPIENT, NONE),
    ("bbottema/simple-java-mail#348", "rcpt", "450 4.7.1 <name@example.com>: Recipient address rejected: Policy Rejection- Quota Exceeded.", T, ACCOUNT, SLOW),
    # Exim, Sendmail, qmail.
    ("K, Exim 4.96, smtp_in.c", "connect", "421 Too many concurrent SMTP connections; please try again later.", T, CONNECTION, SLOW),
    ("K, Exim 4.96, smtp_accept_max_per_connection", "mail", "421 too many messages in this connection", T, CONNECTION, ROTATE),
    ("K, Exim 4.96, local_scan default", "rcpt", "451 Temporary local problem - please try later", T, RECIPIENT, NONE),
    ("K, Exim 4.96, sample configuration", "rcpt", "550 relay not permitted", P, DOMAIN, NONE),
    ("K, Exim 4.96, sample configuration", "rcpt", "550 Unrouteable address", P, RECIPIENT, NONE),
    ("K, cPanel, max hourly emails", "rcpt", "550 Domain example.org has exceeded the max emails per hour (150/150 (100%)) allowed.", T, ACCOUNT, SLOW),
    ("thiswebhost.com, knowledge base 554", "rcpt", "550 Domain example.org has exceeded the max defers and failures per hour (5/5 (100%)) allowed.", T, ACCOUNT, SLOW),
    ("S, set-of-emails (Sendmail)", "rcpt", "450 4.7.1 Access denied. IP name lookup failed [192.0.2.222]", T, DOMAIN, SLOW),
    ("K, Sendmail 8, ratectrl", "mail", "421 4.3.2 Connection rate limit exceeded.", T, CONNECTION, SLOW),
    ("S, set-of-emails (Sendmail)", "connect", "452 4.3.2 Connection rate limit exceeded.", T, CONNECTION, SLOW),
    ("S, set-of-emails (Sendmail)", "rcpt", "450 4.2.2 <mailboxfull@example.kyoto.jp>... Mailbox Full", T, RECIPIENT, NONE),
    ("S, set-of-emails (Sendmail)", "mail", "553 5.1.8 <httpd@host1.mx.example.jp>... Domain of sender address httpd@host1.mx.example.jp does not exist", P, ACCOUNT, NONE),
    ("S, set-of-emails (Sendmail)", "rcpt", "550 5.7.1 Relaying denied. IP name lookup failed [192.0.2.254]", P, DOMAIN, NONE),
    ("S, set-of-emails (Sendmail)", "data", "503 Improper sequence of commands", P, ACCOUNT, NONE),
    ("K, qmail 1.03, qmail-smtpd.c", "rcpt", "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", P, DOMAIN, NONE),
    ("K, qmail 1.03, qmail-smtpd.c", "body", "451 qq trouble in home directory (#4.3.0)", T, MESSAGE, NONE),
    (SET, "rcpt", "553 sorry, your envelope recipient is in my badrcptto list (#5.7.1)", P, RECIPIENT, NONE),
    # Filters: Mimecast, Proofpoint, Barracuda.
    (MIMECAST, "connect", "421 Unable to process connection at this time", T, CONNECTION, NONE),
    (MIMECAST, "rcpt", "451 Internal resources are temporarily unavailable", T, RECIPIENT, NONE),
    (MIMECAST, "rcpt", "550 Exceeding outbound thread limit", T, CONNECTION, SLOW),
    (MIMECAST, "rcpt", "550 Invalid Recipient", P, RECIPIENT, NONE),
    (MIMECAST, "body", "554 Maximum email size exceeded", P, MESSAGE, NONE),
    (SET, "body", "554 email rejected due to security policies - MCSpamSignature.sa.2.2", P, MESSAGE, NONE),
    (SET, "connect", "554 Blocked - see https://support.proofpoint.com/dnsbl-lookup.cgi?ip=192.0.2.225", P, CONNECTION, NONE),
    (SET, "mail", "550 5.7.1 Connections not accepted from servers without a valid sender domain. Fix reverse DNS for 203.0.113.2", P, DOMAIN, NONE),
    ("K, Proofpoint", "connect", "452 4.3.2 Too many sessions from your host", T, CONNECTION, SLOW),
    ("K, Barracuda", "mail", "554 Service unavailable; Client host [192.0.2.1] blocked using Barracuda Reputation", P, DOMAIN, NONE),
    ("K, Barracuda, rate control", "mail", "450 too many connections from your IP (rate controlled)", T, CONNECTION, SLOW),
    # Services with an SMTP interface.
    (QUOTAS, "body", "454 Throttling failure: Maximum sending rate exceeded.", T, ACCOUNT, SLOW),
    (QUOTAS, "body", "454 Throttling failure: Daily message quota exceeded.", T, ACCOUNT, TOMORROW),
    (SES, "connect", "421 Too many concurrent SMTP connections", T, CONNECTION, SLOW),
    (SES, "body", "451 Temporary service failure", T, MESSAGE, NONE),
    (SES, "auth", "535 Authentication Credentials Invalid", P, ACCOUNT, NONE),
    (SES, "mail", "530 Authentication required", P, ACCOUNT, NONE),
    (SET, "body", "554 Message rejected: Email address is not verified. The following identities failed the check in region AP-NORTHEAST-1: x", P, ACCOUNT, NONE),
    ("K, Amazon SES", "body", "554 Message rejected: Sending suspended for this account.", P, ACCOUNT, NONE),
    ("K, Amazon SES", "body", "552 Message is too long.", P, MESSAGE, NONE),
    ("mautic/mautic#8721", "auth", "451 Authentication failed: Maximum credits exceeded", T, ACCOUNT, TOMORROW),
    ("sendgrid/docs#6473", "mail", "550 Unauthenticated senders not allowed", P, ACCOUNT, NONE),
    ("K, SendGrid", "body", "550 The from address does not match a verified Sender Identity.", P, MESSAGE, NONE),
    ("K, Postmark", "body", "550 5.7.1 While your account is pending approval, all recipient addresses must share the same domain", P, ACCOUNT, NONE),
    ("K, Postmark, API error 400", "body", "550 5.7.1 The 'From' address you supplied is not a Sender Signature on your account.", P, ACCOUNT, NONE),
    ("Monstarrrr/rebutify#162", "body", "421 Domain sandbox.mailgun.org is not allowed to send: Please activate your Mailgun account.", P, ACCOUNT, NONE),
    ("mailgun/mailgun-java#50", "body", "420 Domain mail.example.org is not allowed to send: recipient limit exceeded, try again after Mon, 25 Aug 2025 07:00:31 UTC", T, ACCOUNT, TOMORROW),
    # Hosters and mailbox providers.
    ("GMX, postmaster pages", "connect", "554-gmx.net (mxgmx104) Nemesis ESMTP Service not available\n554-No SMTP service\n554-IP address is block listed.\n554 For explanation visit", P, CONNECTION, NONE),
    ("new-faq.comservice-ffo.de (GMX and others)", "mail", "421 Rate limit reached. Please try again later", T, ACCOUNT, SLOW),
    ("new-faq.comservice-ffo.de (GMX and others)", "mail", "421 Reject due to policy violations", T, DOMAIN, SLOW),
    ("WEB.DE (sitepackage.de)", "rcpt", "550 Benutzer hat das Speichervolumen ueberschritten. / User has exhausted allowed storage space.", T, RECIPIENT, NONE),
    ("WEB.DE (sitepackage.de)", "rcpt", "550 Benutzer nicht bekannt/User unknown", P, RECIPIENT, NONE),
    ("T-Online (sitepackage.de)", "rcpt", "552 5.2.2 Over STORAGE quota", T, RECIPIENT, NONE),
    ("T-Online (sitepackage.de)", "rcpt", "550 5.1.1 user unknown", P, RECIPIENT, NONE),
    ("bytecamp.net, FAQ", "rcpt", "422 4.2.2 Quota limit exceeded", T, RECIPIENT, NONE),
    (SET, "connect", "421 4.2.0 Service refuse. Veuillez essayer plus tard. Service refused, please try later. OFR005_505 [505]", T, CONNECTION, NONE),
    (SET, "rcpt", "550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]", P, RECIPIENT, NONE),
    (SET, "connect", "550 mwinf5c04 ME Adresse IP source bloquee pour incident de spam. Client host blocked for spamming issues. OFR006_102", P, CONNECTION, NONE),
    (SET, "rcpt", "550 5.5.0 Le compte du destinataire est bloque. The recipient account is blocked. LPN007_426", P, RECIPIENT, NONE),
    ("K, OVHcloud", "mail", "550 5.7.1 Your account has been blocked, see your control panel", P, ACCOUNT, NONE),
    ("mailout.ru 2015-09 (mail.ru)", "mail", "550 message sending for this account is disabled", P, ACCOUNT, NONE),
    (SET, "body", "550 5.7.1 This message was not accepted due to domain (example.org) owner DMARC policy (RFC 7489)", P, DOMAIN, NONE),
    ("errorsmaster.ru (mail.ru)", "body", "550 spam message rejected. Please visit http://help.mail.ru/notspam-support", P, MESSAGE, NONE),
    ("yandex.com/support, bounces", "body", "554 5.7.1 [2] Message rejected under suspicion of SPAM", P, MESSAGE, NONE),
    ("yandex.com/support, bounces", "auth", "535 5.7.8 Error: authentication failed: This user does not have access rights to this service", P, ACCOUNT, NONE),
    ("help.zoho.com, community", "body", "550 5.4.6 Unusual sending activity detected. Please try after sometime", P, ACCOUNT, NONE),
    ("zoho.com/zeptomail, smtp-error-codes", "mail", "553 Relaying disallowed as ada@example.com", P, ACCOUNT, NONE),
    ("help.zoho.com, community", "auth", "554 5.1.8 Sender Address Blocked", P, ACCOUNT, NONE),
    (SET, "rcpt", "541 5.4.1 Mail rejected by destination domain", P, RECIPIENT, NONE),
    ("smtp.codes/zoho", "rcpt", "452 4.3.1 Temporary System Error", T, RECIPIENT, NONE),
    ("K, Fastmail", "rcpt", "452 4.2.2 <ada@fastmail.com>: mailbox over quota", T, RECIPIENT, NONE),
    ("S, rhost/godaddy IB510", "mail", "550 This message has exceeded the max number of messages per session. Open a new session and try again. IB510", T, CONNECTION, ROTATE),
    ("S, rhost/godaddy IB007", "connect", "421 Connection refused, too many sessions from This IP. Lower the number of concurrent sessions. IB007", T, CONNECTION, SLOW),
    ("S, rhost/godaddy IB504", "rcpt", "550 This IP has sent too many messages this hour. IB504", T, ACCOUNT, SLOW),
    (SET, "rcpt", "550 Ip frequency limited [x Blocked IP 192.0.2.22].", P, DOMAIN, NONE),
    (SET, "rcpt", "550 5.1.1 User does not exist - <kijitora@zoho.example.com>", P, RECIPIENT, NONE),
    (SET, "body", "421 4.3.0 Upstream error, please check https://developers.cloudflare.com/email-routing/postmaster", T, CONNECTION, NONE),
    (SET, "body", "522 5.2.0 Delivery failed: Over quota", T, RECIPIENT, NONE),
    # The standards.
    ("RFC 5321 section 4.2.3", "connect", "554 No SMTP service here", P, CONNECTION, NONE),
    ("RFC 5321 section 4.2.3", "rcpt", "551 User not local; please try <x@example.net>", P, RECIPIENT, NONE),
    ("RFC 5321 section 4.2.3", "body", "552 Requested mail action aborted: exceeded storage allocation", T, RECIPIENT, NONE),
    ("RFC 5321 section 4.2.3", "rcpt", "553 Requested action not taken: mailbox name not allowed", P, RECIPIENT, NONE),
    ("RFC 5321 section 4.2.3", "mail", "555 MAIL FROM/RCPT TO parameters not recognized or not implemented", P, MESSAGE, NONE),
    ("RFC 5321 section 4.2.3", "mail", "500 Syntax error, command unrecognized", P, ACCOUNT, NONE),
    ("RFC 7505 section 4.2", "rcpt", "556 5.1.10 Recipient address has null MX", P, RECIPIENT, NONE),
    ("RFC 6531 section 3.5", "rcpt", "553 5.6.7 Non-ASCII addresses not permitted for that recipient", P, MESSAGE, NONE),
    ("RFC 3207 section 4", "starttls", "454 4.7.0 TLS not available due to temporary reason", T, ACCOUNT, NONE),
    ("RFC 4954 section 6", "auth", "432 4.7.12 A password transition is needed", T, ACCOUNT, NONE),
    ("RFC 6647 section 5", "rcpt", "451 4.7.1 Greylisting in effect, please come back later", T, RECIPIENT, NONE),
]
# fmt: on


def test_table_is_large_and_names_every_source() -> None:
    assert len(REPLIES) >= 120
    assert all(source for source, *_ in REPLIES)
    assert len(REPLIES) == len({(stage, said) for _, stage, said, *_ in REPLIES})


@pytest.mark.parametrize(
    ("source", "stage", "said", "disposition", "scope", "advice"), REPLIES, ids=lambda value: str(value)[:40]
)
def test_classify_real_reply_is_judged_as_by_hand(
    source: str, stage: str, said: str, disposition: Disposition, scope: Scope, advice: Advice
) -> None:
    reply = parse_reply(int(said[:3]), said.encode(), Stage(stage))
    assert (disposition, scope, advice) == classify(reply), source
