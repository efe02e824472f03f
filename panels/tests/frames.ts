// Frames as the zstd program (1.5) writes them, in base64, and the lengths and periods of the texts they hold.

export const FRAMES: { what: string; length: number; period: number; frame: string }[] = [
  {
    what: "literals as they are",
    length: 40,
    period: 3,
    frame: "KLUv/SAoDQEA2GNlYXRoZSBjYXQgc2F0IG9uIHRoZSBtYXQsIAEA7zHH",
  },
  {
    what: "one byte repeated",
    length: 200000,
    period: 0,
    frame: "KLUv/aBADQMAVAAAEGFhAQD7/znAAgNqCGE=",
  },
  {
    what: "Huffman codes in one stream, new tables, then the usual ones",
    length: 140000,
    period: 40,
    frame:
      "KLUv/aDgIgIABBsA0k4YEMAlwwHWNIBZSUquOsAKDg46zSVR5SU6V+tc2uQ05arUkUe1mI3alMwvnt2o7yKjdeZ6vjHGpTjl5pmUdDqd5o3+b+" +
      "1SkXFLds5k6mbvi0q5xzlhCBAPQwQEYjgQQ4mHEYDiqHGiq5r2N3EEhBBiFHOIOQh7EsAxBP87BAhD8DsEDcWBcVX2p5YMyiFKsO34a0f86W9W" +
      "6nRd+UcgvdY0XDOoPoIlyLvPWBSZe8ygKiOxsHOv6BvdkZtGfc3YI3BG3G/VpRTszqkGpaAAJE2785E0Sf14pIRWdxdRVEqEfbzUXCE7mYhnR9" +
      "1WwJCvknKJOTYtaArInKhg75gDc91De/bh65lhHv+0q9mD1D5Kk4GhsWkbPRKq/V2T0l/lD7TrA72MFXg2fPeXTPRZD08HQim0OvWDf5jB8E2l" +
      "ofRapOwHaKDGev7BYYrrGMiS6+pSFG77KRs+905JgfDPWq/FBJWomQj768xs5CO49ujBkjbTAx3hnGUDfH/ia7jipH0sYijZjl+joTds9nbeUI" +
      "a0B0/HsZTvVXj4fdcfGIAP9lrYCtuEzvGBc3cw1kNvbT8jBfX0rZQrCc2bcG5hpaS997q2HDhZvR51lwmLufPeR6x2xn/GoVt4a7te5BUyNfOL" +
      "+LjQsPd1ckwZwJ9oi+iybbVOpuq0JbA0qTcwjHR28HBZeX2w4YMbYZFqzQ55TWI0rQXDs5UdRp1rS5mc04pN8Ix+OhQCpD4bb12pCeXjBkLo+I" +
      "o/4sC7H5/xrW3cN+c3+w6A8XFGfN2LnYcVLTZfr6CNtTIpjQNDP/41bFLk8L1TPqjlvIYpAj5pEv/r37Vd/xTBU2vt9gd5SnWvAOKEG+wdEIMc" +
      "nb1qEcz2DrkJfxU0yOHWNzLXYLMECONgexEdAL++WbgJYFfMIVXGZm7uHFVuaSv9v7UGjf4O4fX7zoKhTix5p54Bq0lsuAq/6eyMNyrdsXLOAu" +
      "Th4UbzXCkg5hLdUV8nWOTgwviD4WvIm8VUIKBAMHhd6Tq9CjX1fCqP+U4U36FzW1oVAgLghji/zteBEywRRLWE5l6dMyuCURKQGhQSjTER34xK" +
      "hATzPUQNWCyUR3cvh1d0dA006igdKmPNBIyGA6ICuJrO01e+pwjsoK3Ve7fRF3usVLRVfQEACHQKADGbZxUqvxv8ITudxiqwvE3wB+PGg6lQtQ" +
      "mkAPljVX8wwyRUaNXVKwirwBU=",
  },
  {
    what: "Huffman codes in four streams, and tables repeated",
    length: 270000,
    period: 30,
    frame:
      "KLUv/aCwHgQAdB0A5hwsEbAlhcbCsaCIpZRnkhDAJuUBLQAjACMAiksWmnH1lCiyJUaZJK/MNu5OUYzcYijOyKl274JgCCBsMAgBAsJwQBhG2G" +
      "AIOyaSl0Wxa6wx1siljrgj0WdKi9BC+SVLK7LtiN2yhJSzhY4ryWvdbHbikdDZHYuKXijanqe1pUSJ4ojQaBPLsZExKY4XCx/aIk4XMS2e6Wko" +
      "NBpSTKKI0WkkHtPmYkixpfiWlCi5LHUvEgWAzahxqZOsatLeASEEHiIwxDAIqdQHEkCAEIL/ZxCCX0EIGAjDYoH8wwXJ/Ok008INLhiy41JHki" +
      "/95PXigPVihB4bbQVMvaHduNWJV35JdjzYnTgKEUZE0nRus2nk/5x56UYmBsezmmMC+5JgrthgzC1jHNDNCmQGmriXylhoczdqYwGRoQLcA+e1" +
      "q7KrDv4dzR7+hwel3LXgd5Q8J3LsIVA4QbpDG3PZYiQQecN8iFty8LiFyFTkkryfvBx6fYywxsR5m6THoVrWImiP3cIzIqlQFoOsyKHZBQm8bM" +
      "lno1dvZr4LWAAylpcfVtC+26qaNz63OhLkQG4WJP5Ix9dJYGe3HUq1mEMK8AKnjL2/M+EnyOF1R5AAJV1l117lenY8mHjKE+viTbkadupbUOl2" +
      "oXyY7thpJ9mZFYjdrXQ/3U3zmXzrYbjY6f2zRA0dAElrSXvgYlT4/GL/AUlIEGchWCsqw36nTquAHNS/xyhoOqtuyd+jCzECb+Zydo+dBITPLl" +
      "JA56LSDeTLyMp/mo0NKoBVduEfSUpGjVEc/iPuZcd3w88UZww8snGLaTkn2LUjWFTIl+ptGLvDybrZaN+kCRa7P/IjLevvZaDuGgZm91YACtof" +
      "+mjwIDeUAVjNS6O0bIN6J4dmiXn0d6yiz7S/tH21WezGGrAjOIcH2P49cc4fwqJ/0N4XMwDp9UslnhUH7lcYDuGDh3mt98Ki/VZBwD+AMuY06V" +
      "LEhtJs9HS2MAaIPiXeRBVAZrkmRVtCPBMVsmHhW2PwXjaNmxBbDwcnz3b0aCxRD9X7XsNTgRbv8aDbEj/IH2fi/N2lsa20tGotu8EaR1kb62SP" +
      "hF35qZuILN7gizplrehoR+SNUfK7TuowdlEqRyfbv94mh47Ne9CpEstfZwDogFC4fglzRd3SU6+MoXUVv3oNoScQyfQEnuo2p2i2vmxp4xHh1q" +
      "PEvYL3mGyNviJUvrfi4taPSfu+XtPYV3kbVB2HrvcZMaVlKwWQbmcN4Ch9e2GrrBsARhIZBvA5Us7nHhUAFgAWAGapdiahz7G0MqG0Slt+5IVx" +
      "UPA8DjAEp07llVbMvFcHE2SQEHUqucQmHgJeeemSTgI4Pi+GkucO12hcMCdwUzcCWvZJi4OYAi14K1QCsenKhQQXJVQCLoDNqPCqaNMYQQQSIi" +
      "SEIcQghR8SKFEE/ysIgxD8CUHDYDzbuA973SFG8DF+tSQdeqNBPU/g8LLjJ9DJcmXWH0AyBWLcfBo5ukiO4tvFiqdU3gqrTWUoW4v9JSaNKp7r" +
      "VYi4BEbY3oc1wH/y8IEVDs9EEWyGwcRkVdDsxdD9NndNhk1rC+VJl8VXgpTubEhnp884RDmIzG8ZV9aYT8NYE7Skr1CKVOAQVHFcx2lRIJiIF5" +
      "vlX4BeNdZfBUAms8psFAEeudRlJwPFdukCHL+VGc0Wap66RgC1lQaJAG611WA/mSvkuMbMso/5sgT6DQttLQIhj7jnQ8KyyevrQPoh5iC5KnBp" +
      "HDBHc0FJDioWnfvQYOg/b8V73O+mM0s2P4BXqpqShPavtk+pxYbt81xEf0CdifQ/Da0g23jQJckW6J8U9BG8o/CTSsDE9GHEXH4wDUFOpiIHr/" +
      "xP0+LT1qLB4ghAcxrZl0JY5JPDB38wPmZHYR9vc+5I105aGvsi+HymGKJJzOJ/lGyrxyihYpxS9BI/1MlRoBFY0U9852viWZzDgwbItgRCILAF" +
      "LrbxATlHNCm7DgoQ1pXy2gqOUkuyIRGvz0w/jvsBT0Yui3NCeNe8n74wZ9mya4I3t0N1kN+X6cpE1xwjzbXHjwuQ5SyJTNSMF/cNXVDyMUWHMW" +
      "BwYaexsxHd1Q3MPda6KGsPzm5QWXlbg2n8qDK3ouEoGEMda6/0XWqZdZPuBs8s1b367PLcIbeNfeQ7XyzBN1ZCf4Jevbc/tDySGh/P2WG50qZ4" +
      "Uzdan52+mwOJ1WHtQ9Pdv9Vrfn/FhnPyWKVbKSDOe97br7SHoe1oXGSpdbboL3TGQ9a4xDULmftbIkikzKDc33JYAEhmrFdua9tXFM8Pr6+GjC" +
      "NE5yACgFRn0b51DZPNKElm4nrfcM03dgv72x8NVBKnCUTQEv9AwKx+hkVKaykIVQHT/ys+yNOMDHZ5RvEhfZc+uONwAlZQVCTynSBqPjTsBnSN" +
      "Zd1SJ4L+LgpkDtLq86kL+6EJ+yd48dTc5cUDnQIAqGFiYWNhYmVkYWJiY2FkZWFkYmFlYxD8NMdmAJzDGh8nrPCDWmSvjKm0RLBkuwAnz6SPh5" +
      "fe4JFhl80Ii8YUtdG9p3zj+JduNgHjrjs/SLKBawY=",
  },
  {
    what: "Huffman codes by the table of the block before, and a checksum",
    length: 400000,
    period: 40,
    frame:
      "KLUv/aSAGgYA5BcAZpIeEbAlhcbCsaCIpdwywwrAJuUBHgAWABcAmuz1FaeJvtF2yjHuUiUYAggbDEKAgDAcEIYhbDAEqYtIjdJFMT7WSnSdbd" +
      "5+02KLkZjSBVnLZkgj6lKbcpnllc63Ssxi0cV0m5kIiitUSTQy5Zh1GVsRFyFFhV7cYyxxORSAtaghlnRW2dgOYYSEExBDDFFMSnsSQHAI/lcQ" +
      "hCH4FYIEA5E6Dt/vVgK2HX+EwSfkKiP/S1rYAgxLkJ+fsSh4u2d+Tr+LHsn+b2TzThEtvWYsE2cMo606qm+JFYCkoWkB5/C3l74f+19EUWkY9v" +
      "Ea5grZ6SSeHamtAEO+SsASu8amhcwqQi48Qfdu05692Tz+SY4mWHSAobEsDT0StP+uSahTrmhmBbrzMlYQ4zrmb8GuMG4LLR/4hxm3byoRGtoN" +
      "1FivBBymyAM23q14XTKB28KlV2hPefmKUHx1N/eQ19GdSL/OjAEf4Y5HD872g6HwYrkUarB6fuLrdRqtGzpWEQiPQOeGMhgePJ1miQF4+B3tb4" +
      "kBPliG6xxLBQHIH52IoUlLhcK5hdw7QeNk9VDd1Wst/o8SDXHGf4biLbw1Vm4BX8Qdo5EUK1uCP9EWn38wjOBunEP2w2V16+uCG2HrKsu9Z16T" +
      "GBBjzUxA2SvcnVQ354x+hPhszGYygkw03B6nP+LQ9bu3dz0bW4+9OV/3dwByjzOSujfrsKJVeL2CFrayKh9HIvrxr7NJkWPTX7ihNex5nzSJ6P" +
      "Xvmne2uNPRC98f5AnpXlJPuCHRATHE2NEZPoE3SzTIMb4tZK4BVYKFHQ62B+Ieg63zJMTc2Np/p7lZZGqtfcPfoTx+34kf6sQyh9UkUl2Fn9X7" +
      "+kaly8fkkfQbzRUd1zS17IW3Ca7z3wfD96DuGCgQLOND30AnJxvW5uBRqOMmOLghWa7zVRCdYGn/uVe3qHqwvR7x3Vgn3oxXMev6roO7lpdzii" +
      "6G22hYdKhQNTsKB0Ql2TU9ryrfUZwdnPzqF0RfbB5puqokGgBjDhPRTURsGSvyiFWSaJpJ4mJ1W4tNRTTdUFzExGKJ3EVsy5JO2oiYmUpkxFti" +
      "U6S0kjQ9EdtiMo24aU5pUaLbV0SFDkmxGsdVKMdOJw4BgNCoEIu2aQxhBJOgEIIQVJo+EkDwGITgf4QAQQgQgh9iCBgCjGjLrg+R5ZWqIbUNgq" +
      "1w5GgVeGDh8m3YivbMSheuGsPVnnXs75PoHUb2XdoPSCClWlgHaQDyB7zOHvCmm1N0yIZT+aOycb2uAVfAoROfLKkA5HbmTevqwDTA8oxiDQtt" +
      "Lk/hewP2cqF3/lsPhWVyNGz4lad1O2Ta31Zl6c64HiAPbEKcS8FwM15qIMOQtI+gwSBxQesPlDck3hJbeqx7Ft+fRV8wgxewJBd/1LK3GHK1Og" +
      "a0MuIDZ2C+AtnKXsly4Dh4nDl/nR8UnxjqvrUNFjHKKu/wSZXsdyD8HBASFc0JAsPt9g3GpotBMcvMp5lOBRFIG3SR51Wkuxd8MNuX+Mes0Hh/" +
      "Lw6YhFzACmA7WA/Jq4Eal8jWPaHeVkOSktAbSwE6kocK8SdNDlqD99LqJO6XRlRxqVGbp4Iz7FB314KE2r6yJze0oosnhmenHBw20hlZci9vl0" +
      "/k4+3sENNd+71GId9HcUJPgVqONASR1Ly29blsbdScSPDjrRWaNgMNUG836uaCC6+4TRBcPHWinzw+Uc3QDZiE7K0Szxhz+Y298ESgq2HWKtdN" +
      "u/BMYHiimoHBp7O2t8Mdew9zlLW889hNMeTjnKo3RktgglsY+g5v+LhbwmKPYcnfg26Tc8CrFq9vmPnUAT2M9M9u10AXo6mWxHhlfhW5VTl/rZ" +
      "YIR+8tfpkkama5VCXs+4o0qCm9GGWFQ5TBJKmff2KuFb69jHWe6srJffPwgi0XG1nEwQvbTAqChKOID2nMnucdEhCwZFMr6bxqN8J6sbIFg880" +
      "audekbmEt+ITt/gFV2s9jdUMLJtl7vkxSZSW+Ersixmeyz+qsTEdenviqFnXbhYQbD7gwEhn65hZOX96gEYUuTdWepg1QsFFcnQjXC+rDHI9Sr" +
      "CvFUbT/gVpscZpqgvLiPWVda82Zluz02lAlrfJzrjxEPV2gK9MDYWW5FZIGC/wAUwUACMJDFJOxMokm0WuxiOTSWlaRewUceiNxRFdJZI4KmKa" +
      "tEpEcU6vZRZaxKMp40JviUVCCICfqECJpjkxBCohERBDDHTUygMSSCIE/98Q/ApBgmA0XqZ7j/IP0eUJgm/nK+E4eZrP284OwrlhUzFpalK2fm" +
      "XI6ei/Hr0vndi9KIXO0plRRnjcLz8yKcTRkn5QEKq5VyBF6duKl1VIMILCRfp7qGDv/3eu7b4sRPLH4Ucqx+K8EJRQ+RS03Eff+AZnAqXmc5MX" +
      "g+9OAtd8SZvrN6YU4w6YciJN12UJKQwwFFTkICXWuuFXixducwJyB5QjuF4U4fURA7JbN/E76zxucdIZgf10VxMpCRHMQb/iUHkU8OMB3zDz8Y" +
      "EkSOXfYYP5olcuBnvIKDL2CeCfodWWnBA4jtBeBlA1ffk4FF4wUbhg/FartEKpzxfYpZGzGt3Y4JFRJL+3X7oCRc1+2N1zk/zCZQcvAv/3NdNa" +
      "7S0z3Fv7zxBxIujKEmr1uUN7lFdOxeQt89zaDfsxDBRyjptLXbNSg8NDRJRhqr1nfLA9v0T7WCjScK57Ou5ref3K+iGUP5fICY7+Ae/CbubfB6" +
      "JWYwFMIpHYIvdCI1nnPpitaDazxW6bOaUJ9dPaiGHN1kLYz9ewzhBGexaT3WL+xp/cpcMOuo8DimFdfx3iblJMZZWsD5RCBl5zrsRvv+YYfGyu" +
      "m7+AAQqtwxAfNd0uewO552FBJjT+Dry2lkIsNBGqv5iFrGkJ3Fh5/LSG5Ci9Gx3yqHmV6yz9JCq9YowSYcdOFUKdNvIqm8MNHtbZq9HefOv6xy" +
      "oJuU0hg/m0zYh+k2fSvk3Bb/YZO/hdyoEbpghNxywsablYLBkaUAO1AAAQIGQEAMTa6YOlrg7DA/OrKJxFP2ADvDqoiA==",
  },
  {
    what: "usual tables",
    length: 600,
    period: 3,
    frame:
      "KLUv/WBYAT0DAGQDY2VhdGhlIGNhdCBzYXQgb24gbWF0LCBiYWFhZWFlYWVkYWRlYmNkY2FjYmRlYWRhZGVhdGhlEQAxu4i+AbMmoDIVCFGNri" +
      "WiOKxBLwCHT3B2guBjX9KzrZ0RCGrRqha2Ex5Zpx0=",
  },
];
