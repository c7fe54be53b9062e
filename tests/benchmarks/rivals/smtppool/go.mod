module mailblast/rivals/smtppool

go 1.23

require github.com/knadh/smtppool/v2 v2.0.0
